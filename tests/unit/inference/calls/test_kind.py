"""What the errors of a call lead to."""

import pytest
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.asr.errors import AsrFaulted, AsrRejected, AsrUnavailable
from parlance.inference.calls.errors import FetchFailed, InputRejected, ModelChanged
from parlance.inference.calls.kind import CallKind
from parlance.inference.engine import endings
from parlance.inference.engine.endings import Crashed, Ending, HandedBack, Rejected
from parlance.media.errors import AudioTooLong, DecoderLost, NoAudioStream
from parlance.runtime.errors import ObjectNotFound, StoreUnavailable


def _plan(error: BaseException) -> Ending:
    return endings.plan_ending(error, CallKind.plan_ending)


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (NoAudioStream(), Reason.UNDECODABLE_AUDIO, "no_audio_stream"),
        (AudioTooLong(), Reason.UNDECODABLE_AUDIO, "audio_too_long"),
        (DecoderLost(-11), Reason.UNDECODABLE_AUDIO, "undecodable_audio"),
        (ObjectNotFound("k"), Reason.INPUT_NOT_FOUND, "input_not_found"),
        (InputRejected(Problem.URL_NOT_ALLOWED, "no"), Reason.INVALID_INPUT, "url_not_allowed"),
        (FetchFailed(Problem.UPSTREAM_FAILED), Reason.INVALID_INPUT, "upstream_failed"),
        (AsrRejected("INVALID_ARGUMENT"), Reason.INFERENCE_FAILED, "inference_failed"),
    ],
)
def test_what_lies_in_the_input_fails_the_call(error: Exception, reason: str, code: str) -> None:
    ending = _plan(error)

    assert isinstance(ending, Rejected)
    assert (ending.reason, ending.problem.code) == (reason, code)
    assert ending.message


@pytest.mark.parametrize("error", [AsrUnavailable("UNAVAILABLE"), ModelChanged("a", "b")])
def test_a_model_that_is_away_or_changed_hands_the_message_back(error: Exception) -> None:
    ending = _plan(error)

    assert isinstance(ending, HandedBack)
    assert ending.reason == Reason.WAITING_FOR_MODEL
    assert ending.delay_seconds > 0


@pytest.mark.parametrize("error", [AsrFaulted("INTERNAL"), DecoderLost(-9)])
def test_what_nobody_can_tell_counts_as_a_lost_run(error: Exception) -> None:
    assert isinstance(_plan(error), Crashed)


def test_errors_of_the_adapters_are_left_to_the_engine() -> None:
    assert CallKind.plan_ending(StoreUnavailable("get")) is None


def test_of_several_windows_that_fail_the_one_about_the_input_decides() -> None:
    group = ExceptionGroup("windows", [AsrUnavailable("full"), NoAudioStream(), RuntimeError()])

    assert isinstance(_plan(group), Rejected)
