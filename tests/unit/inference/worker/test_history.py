from collections.abc import AsyncIterator

from parlance.contracts.bus.calls import (
    Analyzed,
    Cancelled,
    EventData,
    Retrying,
    SegmentsReady,
    Started,
    Transcribed,
    build_event,
)
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import ModelInfo, Role
from parlance.contracts.ids import CompanySlug
from parlance.inference.worker import history
from parlance.inference.worker.history import History

from tests.unit.inference.worker import fakes
from tests.unit.inference.worker.fakes import FakeStored


def _event(data: EventData, *, attempt: int = 1) -> Envelope:
    return build_event(data, company=CompanySlug("acme"), call_id=fakes.CALL_ID, attempt=attempt)


def _window(number: int, model_hash: str = fakes.MODEL.hash) -> SegmentsReady:
    return SegmentsReady(
        window=number,
        channel=0,
        speaker="speaker_0",
        role=Role.UNKNOWN,
        start_seconds=0,
        end_seconds=1,
        segments=(),
        model_hash=model_hash,
        processed_seconds=1,
        total_seconds=2,
    )


def _transcribed(model: ModelInfo) -> Transcribed:
    return Transcribed(
        object_key="k", sha256="s", segments=1, duration_seconds=1, language="en", model=model
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


async def _fold(*events: Envelope, attempt: int = 1) -> History:
    async def stored() -> AsyncIterator[FakeStored]:
        for sequence, event in enumerate(events, start=1):
            yield FakeStored(sequence, event)

    return await history.fold_events(stored(), attempt, fakes.MODEL.hash)


async def test_windows_of_any_attempt_count_as_done() -> None:
    past = await _fold(_event(_window(0)), _event(_window(1), attempt=2), attempt=3)

    assert sorted(past.windows) == [0, 1]


async def test_windows_of_another_model_do_not() -> None:
    past = await _fold(_event(_window(0, "other")))

    assert past.windows == {}


async def test_a_transcript_of_another_model_is_not_used_again() -> None:
    other = ModelInfo(name="base", hash="other")
    past = await _fold(_event(_transcribed(fakes.MODEL)), _event(_transcribed(other)))

    assert past.transcribed is not None
    assert past.transcribed.model == fakes.MODEL


async def test_a_dispatch_whose_attempt_has_ended_is_settled() -> None:
    past = await _fold(_event(_analyzed(), attempt=2))

    assert past.is_settled(fakes.build_dispatch(attempt=1))
    assert past.is_settled(fakes.build_dispatch(attempt=2))
    assert not past.is_settled(fakes.build_dispatch(attempt=3))


async def test_a_cancelled_call_is_settled() -> None:
    past = await _fold(_event(Cancelled()))

    assert past.is_settled(fakes.build_dispatch())


async def test_runs_that_handed_the_message_back_are_not_lost_runs() -> None:
    handed_back = Retrying(reason="Retrying", message="", next_attempt=2)
    earlier = Retrying(reason="Retrying", message="", next_attempt=1)
    given_up_by_the_operator = _event(handed_back, attempt=1)
    past = await _fold(
        _event(earlier),
        given_up_by_the_operator,
        _event(handed_back, attempt=2),
        _event(handed_back, attempt=2),
        attempt=2,
    )

    assert past.count_lost_runs(earlier_deliveries=4) == 2


async def test_the_place_of_fetched_audio_is_remembered() -> None:
    started = Started(
        worker="w",
        container="wav",
        codec="pcm",
        channels=1,
        duration_seconds=1,
        model=fakes.MODEL,
        object_key="acme/calls/x/audio.wav",
    )

    assert (await _fold(_event(started))).object_key == "acme/calls/x/audio.wav"


async def test_the_newest_event_is_one_of_somebody_who_works_on_the_call() -> None:
    sign = fakes.build_sign(1)
    doubt = sign.model_copy(update={"id": sign.id.replace(".worker.", ".doubt.")})

    assert (await _fold(sign, sign)).last_sequence == 2
    assert (await _fold(sign, doubt)).last_sequence == 1
