"""Errors of this floor. Each names the problem code that a client will see.

    MediaError                 problem, retryable; `str()` is a sentence for people
    ├── UnsupportedMedia       415 unsupported_media: not audio, or a container we do not know
    ├── UnsupportedCodec       415 unsupported_codec: a codec or shape we do not decode
    ├── EmptyFile              422 empty_file
    ├── NoAudioStream          422 no_audio_stream: a video without sound
    ├── AudioTooShort          422 audio_too_short
    ├── AudioTooLong           422 audio_too_long
    └── UndecodableAudio       422 undecodable_audio
        ├── AnswerInvalid      the child says what no child would: the file has taken it over
        ├── DecoderTimedOut    the child got no further within the wall clock it was given
        └── DecoderLost        the child died: killed by its limits, or by the machine (retryable)

What says nothing about the file is a `runtime.errors.Retryable`: errors of the byte source (the
object store's own) pass through unchanged, one that hangs ends in SourceTimedOut, and a machine
without the means to lock the child up in SandboxUnavailable.
"""

import signal
from collections.abc import Sequence

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


class AnswerInvalid(UndecodableAudio):
    def __init__(self) -> None:
        super().__init__("The decoder's answer is not understood")


class DecoderTimedOut(UndecodableAudio):
    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(f"The decoder got no further within {timeout_seconds:g} s")
        self.timeout_seconds = timeout_seconds


class SourceTimedOut(Retryable):
    """The child waits for bytes, and the source does not give them."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(f"the audio could not be read within {timeout_seconds:g} s")
        self.timeout_seconds = timeout_seconds


class SandboxUnavailable(Retryable):
    """The child lacks protections that a file must not be read without. It ends when an
    administrator changes the machine or the setting, so it is tried again, but seldom."""

    def __init__(self, missing: Sequence[str]) -> None:
        names = ", ".join(missing)
        super().__init__(f"the decoder's sandbox lacks {names}", delay_seconds=60.0)
        self.missing = tuple(missing)


class DecoderLost(UndecodableAudio):
    """Retryable when the file need not be the reason: SIGKILL, as an OOM killer sends it, or a
    child that could not even be set up (status 1)."""

    def __init__(self, return_code: int) -> None:
        super().__init__(f"The decoder ended without an answer (exit status {return_code})")
        self.return_code = return_code
        self.retryable = return_code in (1, -signal.SIGKILL)


_MAX_DETAIL_CHARACTERS = 300
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


def build_error(code: str, what: str, detail: str) -> MediaError:
    """The error for a code that the child reported; an unknown one is undecodable audio.

    `what` happened is ours to say. The child's detail is shown to clients and stored, so it is cut
    and freed of control characters.
    """
    text = "".join(c if c.isprintable() else "?" for c in detail[:_MAX_DETAIL_CHARACTERS])
    return _BY_CODE.get(code, UndecodableAudio)(f"{what}: {text}")
