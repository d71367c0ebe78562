import pytest
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.engine import endings
from parlance.inference.engine.endings import Crashed, Ending, HandedBack, Rejected
from parlance.runtime.errors import BusUnavailable, InvalidKey, StoreUnavailable


class Spoilt(Exception):
    """An error that only the kind of work knows."""


def _plan_of_kind(error: BaseException) -> Ending | None:
    if isinstance(error, Spoilt):
        return endings.reject(Reason.INVALID_INPUT, Problem.UNDECODABLE_AUDIO, "spoilt")
    return None


def _plan(error: BaseException) -> Ending:
    return endings.plan_ending(error, _plan_of_kind)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreUnavailable("get"), Reason.WAITING_FOR_STORE),
        (BusUnavailable("publish"), Reason.BUS_UNAVAILABLE),
    ],
)
def test_what_lies_elsewhere_hands_the_message_back(error: Exception, reason: str) -> None:
    ending = _plan(error)

    assert isinstance(ending, HandedBack)
    assert ending.reason == reason
    assert ending.delay_seconds > 0


def test_what_nobody_foresaw_counts_as_a_lost_run() -> None:
    assert isinstance(_plan(RuntimeError("bug")), Crashed)


def test_what_no_second_try_changes_is_rejected_without_naming_internals() -> None:
    ending = _plan(InvalidKey("../secret"))

    assert ending == Rejected(
        Reason.INVALID_INPUT, Problem.INTERNAL, "The job cannot be carried out."
    )


def test_the_kind_of_work_is_asked_first() -> None:
    ending = _plan(Spoilt())

    assert ending == Rejected(Reason.INVALID_INPUT, Problem.UNDECODABLE_AUDIO, "spoilt")


def test_of_several_errors_the_one_about_the_input_decides() -> None:
    group = ExceptionGroup("parts", [StoreUnavailable("get"), Spoilt(), RuntimeError()])

    assert isinstance(_plan(group), Rejected)


def test_a_handover_keeps_the_attempt() -> None:
    handed = HandedBack(Reason.RETRYING, "draining")

    assert handed.build_event(3, deliveries=1).next_attempt == 3
