"""How far a call is: its worker and the operator tell the same clients, on one scale."""

from datetime import UTC, datetime

from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import EventData, SegmentsReady, Started
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import ModelInfo, Role
from parlance.contracts.ids import CallId, CompanySlug
from parlance.inference.calls.progress import CallProgress
from parlance.operator import follower
from parlance.operator.planning import facts as facting
from parlance.operator.planning.facts import Facts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = ModelInfo(name="m", hash="0" * 64)
STARTED = Started(
    worker="w", container="wav", codec="pcm", channels=1, duration_seconds=600.0, model=MODEL
)


def build_event(data: EventData, attempt: int = 1) -> Envelope:
    return call_events.build_event(
        data, company=CompanySlug("acme"), call_id=CallId("1"), attempt=attempt
    )


def build_window(number: int) -> SegmentsReady:
    """The window that ends the next 15 seconds."""
    return SegmentsReady(
        window=number,
        channel=0,
        speaker="speaker_0",
        role=Role.UNKNOWN,
        start_seconds=15.0 * number,
        end_seconds=15.0 * (number + 1),
        segments=(),
        model_hash=MODEL.hash,
        processed_seconds=15.0 * (number + 1),
        total_seconds=600.0,
    )


def test_worker_and_operator_tell_the_same_percent() -> None:
    worker, operator = CallProgress(), facting.fold(Facts(), build_event(STARTED), heard_at=NOW)
    told = []
    for number in range(40):
        window = build_window(number)
        worker.note_window(window)
        operator = facting.fold(operator, build_event(window), heard_at=NOW)
        told += [worker.build_event(None).percent, operator.percent]

    assert told == sorted(told)
    assert told[-2:] == [95, 95]


def test_the_operator_tells_nothing_of_an_attempt_before_its_first_window() -> None:
    """The next worker goes on where the last one was, and may have said so already."""
    first = facting.fold(Facts(), build_event(STARTED), heard_at=NOW)
    halfway = facting.fold(first, build_event(build_window(19)), heard_at=NOW)
    second = facting.fold(halfway, build_event(STARTED, attempt=2), heard_at=NOW)
    goes_on = facting.fold(second, build_event(build_window(20), attempt=2), heard_at=NOW)

    assert follower.has_advanced(first, halfway)
    assert not follower.has_advanced(halfway, second)
    assert follower.has_advanced(second, goes_on)
    assert goes_on.percent > halfway.percent
