"""Calls as a kind of work: from a recording to a transcript and insights in the store.

kind            what the engine needs to know of calls
task            the work itself: audio to artefacts
past              what earlier runs of the call published
intake            the audio object, opened
fetching          audio named by an address, brought into the store
recording         decoder and voice detection as a stream of windows
transcription     windows through the model, in order
segments            from a window's result to segments
splitting           texts that reach over a long silence
progress          how far the call is, for signs of life
artefacts         transcript and insights in the store
timing            how long each stage takes

Stands on `parlance.inference.engine`, which runs the tasks.
"""
