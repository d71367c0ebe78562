import pytest
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.asr.errors import AsrFaulted, AsrRejected, AsrUnavailable
from parlance.inference.worker import endings
from parlance.inference.worker.endings import Crashed, HandedBack, Rejected
from parlance.inference.worker.errors import FetchFailed, InputRejected, ModelChanged
from parlance.media.errors import AudioTooLong, DecoderLost, NoAudioStream
from parlance.runtime.errors import BusUnavailable, ObjectNotFound, StoreUnavailable


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
    ending = endings.plan_ending(error)

    assert isinstance(ending, Rejected)
    assert (ending.event.reason, ending.event.code) == (reason, code)
    assert ending.event.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AsrUnavailable("UNAVAILABLE"), Reason.WAITING_FOR_MODEL),
        (ModelChanged("a", "b"), Reason.WAITING_FOR_MODEL),
        (StoreUnavailable("get"), Reason.RETRYING),
        (BusUnavailable("publish"), Reason.BUS_UNAVAILABLE),
    ],
)
def test_what_lies_elsewhere_hands_the_message_back(error: Exception, reason: str) -> None:
    ending = endings.plan_ending(error)

    assert isinstance(ending, HandedBack)
    assert ending.reason == reason
    assert ending.delay_seconds > 0


@pytest.mark.parametrize("error", [RuntimeError("bug"), AsrFaulted("INTERNAL"), DecoderLost(-9)])
def test_what_nobody_can_tell_counts_as_a_lost_run(error: Exception) -> None:
    assert isinstance(endings.plan_ending(error), Crashed)


def test_of_several_errors_the_one_about_the_input_decides() -> None:
    group = ExceptionGroup("windows", [AsrUnavailable("full"), NoAudioStream(), RuntimeError()])

    assert isinstance(endings.plan_ending(group), Rejected)


def test_a_handover_keeps_the_attempt() -> None:
    handed = HandedBack(Reason.RETRYING, "draining")

    assert handed.build_event(3, deliveries=1).next_attempt == 3
