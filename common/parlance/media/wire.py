"""Framing on the sockets between the parent and the sandboxed child. Both sides import this.

Child to parent: frames of `type (1 byte), length (u32), payload`.
    REQUEST   payload `offset u64, length u32`: send me these bytes of the file
    MESSAGE   payload JSON: what the sandbox holds, the stream's description, the end, an error, or
              the answer of a probe
    PCM       payload int16 little endian, channels interleaved
The first frame says what the sandbox holds; before it the parent answers no REQUEST.
Parent to child: `length (u32), payload`. The first is the job (JSON), then one answer for each
REQUEST, in the order of the requests.

Standard library only, and little of it: the child's start-up time is part of every upload.
"""

import struct

REQUEST = b"R"
MESSAGE = b"M"
PCM = b"P"

FRAME = struct.Struct("<cI")
RANGE = struct.Struct("<QI")
LENGTH = struct.Struct("<I")

REPORT = struct.Struct("<cii")
"""From a template to its parent: kind, process id, exit status (negative: a signal). With STARTED
comes a descriptor of the process. From the parent comes one byte with a job's socket."""
STARTED = b"S"
ENDED = b"E"
FAILED = b"F"

SAMPLE_RATE_HZ = 16_000
"""Rate of all decoded audio."""
BYTES_PER_SAMPLE = 2
BLOCK_FRAMES = SAMPLE_RATE_HZ
"""Frames (one sample of each channel) in a PCM block; only the last one is shorter."""
READ_BLOCK_BYTES = 1 << 20
MAX_MESSAGE_BYTES = 1 << 16
"""The child is not trusted: a longer message, or a PCM block longer than 8 channels, ends it."""
MAX_PCM_BYTES = BLOCK_FRAMES * BYTES_PER_SAMPLE * 8
