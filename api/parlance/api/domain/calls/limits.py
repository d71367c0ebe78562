"""Limits of calls that clients can run into, for `GET /api/limits`."""

import msgspec
from parlance.api.events import waiting
from parlance.api.http import fields
from parlance.api.settings import HttpSettings
from parlance.media.limits import MediaLimits


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of uploads and of the audio in them."""

    max_upload_bytes: int
    max_metadata_bytes: int = fields.MAX_METADATA_BYTES
    max_wait_seconds: int = waiting.MAX_WAIT_SECONDS
    min_audio_seconds: float
    max_audio_seconds: float
    max_audio_channels: int
    min_sample_rate_hz: int
    max_sample_rate_hz: int
    fetch_timeout_seconds: float


def build_limits(settings: HttpSettings, media: MediaLimits) -> CallLimits:
    return CallLimits(
        max_upload_bytes=settings.max_upload_bytes,
        min_audio_seconds=media.min_seconds,
        max_audio_seconds=media.max_seconds,
        max_audio_channels=media.max_channels,
        min_sample_rate_hz=media.min_sample_rate_hz,
        max_sample_rate_hz=media.max_sample_rate_hz,
        fetch_timeout_seconds=settings.fetch_timeout_seconds,
    )
