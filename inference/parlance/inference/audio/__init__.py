"""The front end: PCM blocks in, windows of speech out, flat in memory for any length.

    channels    interleaved PCM -> channels; one speaker per channel, or one mix
    vad         voice activity (silero), state carried per channel
    speech      probabilities -> spans of speech, by hysteresis
    packer      spans -> windows of bounded length, with the map back to call time
    front_end   the four above for one call, synchronous and deterministic
    windows     the front end behind a decoder, on a thread, as an async stream

The same bytes always give the same windows, whatever the block sizes: a redelivered job counts on
it when it skips what was published before.
"""
