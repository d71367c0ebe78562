"""Runs work from the bus, of whatever kind: from a message to an event and an answer.

loop          pulls messages as slots get free, drains on SIGTERM
lanes           in which order the lanes are asked
runner        one message: lease, stop requests, how it ends
lease           the message handle, kept alive
control         cancel and pause notes
history         what earlier runs of the same work published
endings         every way a run can end, and which error leads to which
kinds         what a kind of work must bring: its task, its events, its errors
reporter      events of one run
details         what the ids of its events tell of the run
signs           signs of life, and what the run waits for
waits             what a run waits for at the moment
patience      trying again while something is away
gate          how many requests of all runs may be on their way, by priority

A kind of work (`parlance.inference.calls`) stands on this package; nothing here knows any kind.
`wiring` registers the kinds that a worker does.
"""
