"""Puts the worker together: the only place that opens its adapters. Called by `__main__`.

worker        the process: bus, health, one loop per kind of work
work          what a kind of work brings to the process
call_work     for calls: Triton, decoders, voice detection
ticket_work   for tickets: analysis alone

A kind's module is imported only where its lane is asked for: a worker of text loads neither models
nor decoders.
"""
