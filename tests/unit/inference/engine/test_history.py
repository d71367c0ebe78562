from parlance.contracts.bus.calls import EVENTS, Analyzed, Cancelled, EventData, Retrying
from parlance.contracts.bus.calls import build_event as build_call_event
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.ids import CompanySlug
from parlance.inference.engine.history import History
from prometheus_client import REGISTRY

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus


def _event(data: EventData, *, attempt: int = 1, detail: str = "") -> Envelope:
    return build_call_event(
        data, company=CompanySlug("acme"), call_id=fakes.CALL_ID, attempt=attempt, detail=detail
    )


def _analyzed() -> Analyzed:
    return Analyzed(
        transcript_key="k",
        transcript_sha256="s",
        insights_key="k",
        insights_sha256="s",
        segments=1,
        duration_seconds=1,
    )


async def _read(*events: Envelope, attempt: int = 1) -> History:
    bus = FakeBus()
    bus.events.extend(events)
    history = History(fakes.build_dispatch(attempt=attempt))
    await history.read(bus, EVENTS, lambda _: None)
    return history


async def test_every_earlier_event_is_recalled_in_order() -> None:
    bus, recalled = FakeBus(), list[Envelope]()
    bus.events.extend([fakes.build_sign(1), _event(_analyzed())])

    await History(fakes.build_dispatch()).read(bus, EVENTS, recalled.append)

    assert recalled == bus.events


async def test_a_dispatch_whose_attempt_has_ended_is_settled() -> None:
    end = _event(_analyzed(), attempt=2)

    assert (await _read(end, attempt=1)).is_settled()
    assert (await _read(end, attempt=2)).is_settled()
    assert not (await _read(end, attempt=3)).is_settled()


async def test_cancelled_work_is_settled() -> None:
    assert (await _read(_event(Cancelled()))).is_settled()


async def test_runs_that_handed_the_message_back_are_not_lost_runs() -> None:
    handed_back = Retrying(reason="Retrying", message="", next_attempt=2)
    earlier = Retrying(reason="Retrying", message="", next_attempt=1)
    given_up_by_the_operator = _event(handed_back, attempt=1)
    past = await _read(
        _event(earlier, detail="1"),
        given_up_by_the_operator,
        _begun(1),
        _event(handed_back, attempt=2, detail="1"),
        _begun(2),
        _begun(3),
        _event(handed_back, attempt=2, detail="3"),
        _begun(4),
        attempt=2,
    )

    assert past.count_lost_runs(earlier_deliveries=4) == 2


def _begun(run: int) -> Envelope:
    return fakes.build_sign(1, run=run).model_copy(
        update={"attempt": 2, "id": f"{fakes.CALL_ID}.2.progress.worker.{run}.1"}
    )


async def test_deliveries_that_no_run_took_are_not_lost_runs() -> None:
    """Given back by a worker that shut down, or dropped with a connection."""
    past = await _read(fakes.build_sign(1, run=4))

    assert past.count_lost_runs(earlier_deliveries=7) == 1


async def test_runs_of_a_message_whose_stream_was_lost_do_not_count_for_the_next_one() -> None:
    past = await _read(*(fakes.build_sign(1, run=run) for run in range(1, 6)))

    assert past.count_lost_runs(earlier_deliveries=0) == 0


async def test_a_run_that_only_doubted_is_not_lost() -> None:
    sign = fakes.build_sign(1)
    doubt = sign.model_copy(update={"id": sign.id.replace(".worker.", ".doubt.")})

    assert (await _read(doubt)).count_lost_runs(earlier_deliveries=3) == 0


async def test_the_newest_event_is_one_of_somebody_who_does_the_work() -> None:
    sign = fakes.build_sign(1)
    doubt = sign.model_copy(update={"id": sign.id.replace(".worker.", ".doubt.")})

    assert (await _read(sign, fakes.build_sign(2))).last_sequence == 2
    assert (await _read(sign, doubt)).last_sequence == 1


async def test_an_event_that_does_not_fit_is_skipped_and_counted() -> None:
    """A worker before a rolling upgrade wrote it, without a field that there is now."""
    handed_back = Retrying(reason="Retrying", message="", next_attempt=1)
    older = _event(handed_back, detail="1").model_copy(update={"data": {"message": ""}})
    skipped = _count_skipped()

    past = await _read(older, _event(handed_back, detail="2"))

    assert past.count_lost_runs(earlier_deliveries=2) == 1
    assert past.last_sequence == 2
    assert _count_skipped() == skipped + 1


async def test_an_event_of_a_type_that_only_a_newer_worker_knows_is_skipped() -> None:
    newer = _event(Cancelled()).model_copy(update={"type": "call.dreamt"})

    past = await _read(newer)

    assert not past.is_settled()
    assert past.last_sequence == 1


async def test_what_the_kind_of_work_cannot_read_is_skipped() -> None:
    bus = FakeBus()
    bus.events.extend([_event(Cancelled()), _event(_analyzed())])
    recalled = list[str]()

    def recall(event: Envelope) -> None:
        if event.type == "call.cancelled":
            parse_data(event, Analyzed)
        recalled.append(event.type)

    await History(fakes.build_dispatch()).read(bus, EVENTS, recall)

    assert recalled == ["call.analyzed"]


def _count_skipped() -> float:
    return REGISTRY.get_sample_value("parlance_worker_skipped_events_total") or 0.0
