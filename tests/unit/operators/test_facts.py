"""Folding events: the same rules as the recorder's, so that both end a call alike."""

from functools import reduce

import pytest
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.bus.envelopes import Envelope
from parlance.operator.planning import facts as facting
from parlance.operator.planning.facts import Facts, RunStage, Waiting
from parlance.operator.planning.outgoing import build_progress

from tests.unit.operators.builders import (
    ANALYZED,
    CANCELLED,
    COMPLETED,
    FAILED,
    STARTED,
    TRANSCRIBED,
    at,
    event,
    job,
    queued_status,
    segments_ready,
)


def fold(*events: Envelope) -> Facts:
    return reduce(lambda known, new: facting.fold(known, new, heard_at=at(1)), events, Facts())


def test_start_names_worker_and_length() -> None:
    facts = fold(event(STARTED))

    assert facts == Facts(
        events=1, heard_at=at(1), attempt=1, started_at=at(1), worker="w1", total_seconds=60
    )


def test_windows_move_progress_and_never_back() -> None:
    facts = fold(event(STARTED), event(segments_ready(30)), event(segments_ready(20)))

    assert (facts.processed_seconds, facts.percent) == (30, 47)


def test_transcribed_and_analyzed_are_stages() -> None:
    stages = [
        (facts.stage, facts.percent)
        for facts in (
            fold(event(STARTED)),
            fold(event(STARTED), event(TRANSCRIBED)),
            fold(event(STARTED), event(TRANSCRIBED), event(ANALYZED)),
            fold(event(STARTED), event(TRANSCRIBED), event(ANALYZED), event(COMPLETED)),
        )
    ]

    assert stages == [
        (RunStage.TRANSCRIBE, 0),
        (RunStage.INSIGHTS, 95),
        (RunStage.STORE, 99),
        (RunStage.DONE, 100),
    ]


def test_later_attempt_starts_anew() -> None:
    facts = fold(event(STARTED), event(segments_ready(30)), event(STARTED, attempt=2))

    assert (facts.attempt, facts.processed_seconds, facts.percent) == (2, 0, 0)


def test_stale_worker_is_not_heard() -> None:
    facts = fold(event(STARTED, attempt=2), event(segments_ready(30)), event(FAILED))

    assert (facts.processed_seconds, facts.verdict, facts.events) == (0, None, 1)


@pytest.mark.parametrize("second", [FAILED, CANCELLED])
def test_first_terminal_event_wins(second: call_events.EventData) -> None:
    first = call_events.Failed(
        reason="DeadlineExceeded", code="x", message="", stage=FAILED.stage, retryable=True
    )
    facts = fold(event(STARTED), event(first), event(second))

    assert facts.verdict == first


@pytest.mark.parametrize("late", [FAILED, CANCELLED])
def test_nothing_undoes_a_finished_analysis(late: call_events.EventData) -> None:
    facts = fold(event(STARTED), event(ANALYZED), event(late))

    assert facts.verdict is None
    assert facts.is_analyzed


@pytest.mark.parametrize("verdict", [FAILED, CANCELLED])
def test_a_later_attempt_does_not_undo_a_verdict(verdict: call_events.EventData) -> None:
    """The recorder has ended the call by it and will say nothing more of it."""
    facts = fold(
        event(STARTED), event(verdict), event(STARTED, attempt=2), event(ANALYZED, attempt=2)
    )

    assert facts.verdict == verdict
    assert not facts.is_analyzed


@pytest.mark.parametrize("verdict", [FAILED, CANCELLED])
def test_after_the_analysis_only_the_recorder_has_a_say(
    verdict: call_events.Failed | call_events.Cancelled,
) -> None:
    by_recorder = event(verdict, detail=envelopes.BY_RECORDER)

    assert fold(event(ANALYZED), event(verdict)).verdict is None
    assert fold(event(ANALYZED), by_recorder).verdict == verdict


def test_cancelled_before_analyzed_stays_cancelled() -> None:
    facts = fold(event(STARTED), event(CANCELLED), event(ANALYZED))

    assert facts.verdict == CANCELLED
    assert not facts.is_analyzed


def test_completed_is_true_whatever_was_said_before() -> None:
    facts = fold(event(STARTED, attempt=2), event(FAILED, attempt=2), event(COMPLETED))

    assert facts.verdict == COMPLETED


def test_own_words_prove_no_life() -> None:
    own = build_progress(job(queued_status()), fold(event(STARTED)), now=at(2))
    announced = call_events.Retrying(reason="WorkerLost", message="", next_attempt=2)

    assert fold(own, event(announced)) == Facts()


def test_signs_of_life_of_a_worker_are_heard() -> None:
    sign = call_events.Progress(
        percent=3, stage=FAILED.stage, processed_seconds=1.0, total_seconds=60.0
    )

    assert fold(event(sign, detail="worker.1.1")) == Facts(events=1, heard_at=at(1))


def test_handed_back_job_waits_until_it_is_begun_again() -> None:
    back = call_events.Retrying(reason="WaitingForModel", message="no model", next_attempt=1)
    waiting = fold(event(STARTED), event(back))
    resumed = fold(event(STARTED), event(back), event(STARTED))

    assert waiting.waiting == Waiting(1, "WaitingForModel", "no model")
    assert resumed.waiting is None


def _sign(reason: str | None = None, *, attempt: int = 1) -> Envelope:
    sign = call_events.Progress(
        percent=3,
        stage=FAILED.stage,
        processed_seconds=1.0,
        total_seconds=60.0,
        waiting_for=reason,
        message="waiting" if reason else None,
    )
    return event(sign, detail="worker.1.1", attempt=attempt)


def test_a_worker_that_waits_says_for_what_and_when_it_goes_on() -> None:
    waits = _sign("WaitingForModel")

    assert fold(waits).waiting == Waiting(1, "WaitingForModel", "waiting", is_held=True)
    assert fold(waits, _sign("WaitingForStore")).waiting == Waiting(
        1, "WaitingForStore", "waiting", is_held=True
    )
    for goes_on in (_sign(), event(STARTED), event(segments_ready(30))):
        assert fold(event(STARTED), waits, goes_on).waiting is None


def test_a_worker_that_holds_a_job_again_is_what_the_job_waits_for() -> None:
    back = event(call_events.Retrying(reason="Retrying", message="drained", next_attempt=1))

    assert fold(back, _sign()).waiting == Waiting(1, "Retrying", "drained")
    assert fold(back, _sign("WaitingForModel")).waiting == Waiting(
        1, "WaitingForModel", "waiting", is_held=True
    )


def test_what_a_stale_worker_waits_for_is_nothing_to_the_job() -> None:
    facts = fold(event(STARTED, attempt=2), _sign("WaitingForModel", attempt=1))

    assert facts.waiting is None


def test_segments_that_clients_drop_do_not_take_progress_back() -> None:
    reset = call_events.Reset(reason="ModelChanged", message="", model_hash="a" * 64)
    facts = fold(event(STARTED), event(segments_ready(30)), event(reset))

    assert (facts.events, facts.percent, facts.verdict) == (3, 47, None)


def test_unknown_type_changes_nothing() -> None:
    newer = event(STARTED).model_copy(update={"type": "call.dreamt"})

    assert fold(newer) == Facts()


def test_reading_more_than_was_followed_means_life() -> None:
    known = Facts(events=1, heard_at=at(1), attempt=1)
    same = facting.renew(known, Facts(events=1, attempt=1, heard_at=at(0)), now=at(100))
    more = facting.renew(known, Facts(events=2, attempt=1, heard_at=at(0)), now=at(100))

    assert (same.heard_at, more.heard_at) == (at(1), at(100))
