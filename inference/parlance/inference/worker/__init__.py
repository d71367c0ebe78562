"""The worker process: from a message on the bus to a transcript and insights in the store.

loop          pulls messages as slots get free, drains on SIGTERM
lanes           in which order the lanes are asked
runner        one message: lease, stop requests, how it ends
lease           the message handle, kept alive
control         cancel and pause notes
history         what earlier runs of the call published
endings         every way a run can end, and which error leads to which
call          the work itself: audio to artefacts
intake          the audio object, opened
fetching        audio named by an address, brought into the store
recording       decoder and voice detection as a stream of windows
transcription   windows through the model, in order
reporter        events of the call
artefacts       transcript and insights in the store
patience        waiting for what is away
"""
