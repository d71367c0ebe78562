"""Errors of this floor. Each names the problem code that a client will see.

    MediaError                 problem, retryable; `str()` is a sentence for people
    ├── UnsupportedMedia       415 unsupported_media: not audio, or a container we do not know
    ├── UnsupportedCodec       415 unsupported_codec: a codec or shape we do not decode
    ├── EmptyFile              422 empty_file
    ├── NoAudioStream          422 no_audio_stream: a video without sound
    ├── AudioTooShort          422 audio_too_short
    ├── AudioTooLong           422 audio_too_long
    └── UndecodableAudio       422 undecodable_audio
        ├── DecoderTimedOut    the child got no further within the wall clock it was given
        └── DecoderLost        the child died: killed by its limits, or by the machine (retryable)

Errors of the byte source (the object store's own) pass through unchanged, and one that hangs ends
in SourceTimedOut, a `runtime.errors.Retryable`: they say nothing about the file.
"""

import signal

from parlance.contracts.problems import Problem
from parlance.runtime.errors import Retryable


class MediaError(Exception):
    """The file cannot be used, and why."""

    problem: Problem = Problem.UNDECODABLE_AUDIO
    retryable: bool = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.problem.title)
        self.detail = detail


class UnsupportedMedia(MediaError):
    problem = Problem.UNSUPPORTED_MEDIA


class UnsupportedCodec(MediaError):
    problem = Problem.UNSUPPORTED_CODEC


class EmptyFile(MediaError):
    problem = Problem.EMPTY_FILE


class NoAudioStream(MediaError):
    problem = Problem.NO_AUDIO_STREAM


class AudioTooShort(MediaError):
    problem = Problem.AUDIO_TOO_SHORT


class AudioTooLong(MediaError):
    problem = Problem.AUDIO_TOO_LONG


class UndecodableAudio(MediaError):
    problem = Problem.UNDECODABLE_AUDIO


class DecoderTimedOut(UndecodableAudio):
    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(f"The decoder got no further within {timeout_seconds:g} s")
        self.timeout_seconds = timeout_seconds


class SourceTimedOut(Retryable):
    """The child waits for bytes, and the source does not give them."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(f"the audio could not be read within {timeout_seconds:g} s")
        self.timeout_seconds = timeout_seconds


class DecoderLost(UndecodableAudio):
    """Retryable when the file need not be the reason: SIGKILL, as an OOM killer sends it, or a
    child that could not even be set up (status 1)."""

    def __init__(self, return_code: int) -> None:
        super().__init__(f"The decoder ended without an answer (exit status {return_code})")
        self.return_code = return_code
        self.retryable = return_code in (1, -signal.SIGKILL)


_BY_CODE: dict[str, type[MediaError]] = {
    error.problem.code: error
    for error in (
        UnsupportedMedia,
        UnsupportedCodec,
        EmptyFile,
        NoAudioStream,
        AudioTooShort,
        AudioTooLong,
        UndecodableAudio,
    )
}


def build_error(code: str, detail: str) -> MediaError:
    """The error for a code that the child reported; an unknown one is undecodable audio."""
    return _BY_CODE.get(code, UndecodableAudio)(detail)
