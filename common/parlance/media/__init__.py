"""Untrusted media: what a file is, how long it is, and its samples, without trusting a byte of it.

The API probes uploads with it, the worker decodes with it. FFmpeg (through PyAV) is only ever
loaded in the sandboxed child process (`parlance.media.child`); nothing here imports it in the
process that calls.
"""
