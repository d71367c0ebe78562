from parlance.contracts.bus.calls import EVENTS, Analyzed, Cancelled, EventData, Retrying
from parlance.contracts.bus.calls import build_event as build_call_event
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.ids import CompanySlug
from parlance.inference.engine.history import History, read_history

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
    dispatch = fakes.build_dispatch(attempt=attempt)
    return await read_history(bus, dispatch, EVENTS, lambda _: None)


async def test_every_earlier_event_is_recalled_in_order() -> None:
    bus, recalled = FakeBus(), list[Envelope]()
    bus.events.extend([fakes.build_sign(1), _event(_analyzed())])

    await read_history(bus, fakes.build_dispatch(), EVENTS, recalled.append)

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
        _event(earlier),
        given_up_by_the_operator,
        _event(handed_back, attempt=2),
        _event(handed_back, attempt=2, detail="2"),
        attempt=2,
    )

    assert past.count_lost_runs(earlier_deliveries=4) == 2


async def test_the_newest_event_is_one_of_somebody_who_does_the_work() -> None:
    sign = fakes.build_sign(1)
    doubt = sign.model_copy(update={"id": sign.id.replace(".worker.", ".doubt.")})

    assert (await _read(sign, fakes.build_sign(2))).last_sequence == 2
    assert (await _read(sign, doubt)).last_sequence == 1
