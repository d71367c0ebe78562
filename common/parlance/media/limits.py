"""What one untrusted file may cost. The defaults are the documented limits of the API.

Read by the parent and carried to the child in its job message.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class MediaLimits:
    """Caps on one file. Duration, not bytes, is the cost: silence in FLAC expands over 100:1."""

    min_seconds: float = 0.160
    max_seconds: float = 12 * 3600.0
    max_channels: int = 8
    min_sample_rate_hz: int = 4_000
    max_sample_rate_hz: int = 192_000
    max_corrupt_ratio: float = 0.5
    """Corrupt packets over all packets. A cut or scratched file still gives its words, one that is
    mostly noise gives invented ones."""
    max_read_factor: float = 4.0
    """Bytes the child may ask for, as a multiple of the file's size: a file whose index jumps to
    and fro would otherwise be read from the store for ever."""
    address_space_bytes: int = 1 << 30
    """RLIMIT_AS of the child; Python with FFmpeg loaded maps about 125 MB."""
    probe_cpu_seconds: int = 10
    decode_cpu_seconds: int = 1800
    """RLIMIT_CPU. 12 h of 48 kHz stereo take about 150 s on one 2025 server core."""
    walk_bytes: int = 64 << 20
    """Probing reads files up to this size to the end, to check the header's duration."""
    walk_seconds: float = 2.0
    """Wall clock that counting packets may take while probing; then the rest is extrapolated."""
