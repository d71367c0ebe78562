"""Tickets as a kind of work: from a conversation in text to insights in the store.

kind            what the engine needs to know of tickets
task            the work itself: document in, insights out
documents       a ticket as a document for the analysers
errors          what is wrong with a document

Stands on `parlance.inference.engine`, which runs the tasks. Needs neither a speech model nor
decoders.
"""
