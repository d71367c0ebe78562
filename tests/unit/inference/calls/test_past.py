from parlance.contracts.bus.calls import Reset, SegmentsReady, Started, Transcribed
from parlance.contracts.calls import ModelInfo, Role
from parlance.inference.calls.past import CallPast

from tests.unit.inference import fakes

OTHER = ModelInfo(name="base", hash="other")


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


def test_windows_that_were_published_count_as_done() -> None:
    past = CallPast()
    past.take_window(_window(0))
    past.take_window(_window(1))

    assert sorted(past.windows_of(fakes.MODEL)) == [0, 1]


def test_windows_of_another_model_do_not() -> None:
    past = CallPast()
    past.take_window(_window(0, OTHER.hash))

    assert past.windows_of(fakes.MODEL) == {}


def test_a_transcript_of_another_model_is_not_used_again() -> None:
    past = CallPast()
    past.take_transcribed(_transcribed(fakes.MODEL))
    past.take_transcribed(_transcribed(OTHER))

    found = past.find_transcribed(fakes.MODEL)
    assert found is not None
    assert found.model == fakes.MODEL


def test_the_place_of_fetched_audio_is_remembered() -> None:
    past = CallPast()
    past.take_started(
        Started(
            worker="w",
            container="wav",
            codec="pcm",
            channels=1,
            duration_seconds=1,
            model=fakes.MODEL,
            object_key="acme/calls/x/audio.wav",
        )
    )

    assert past.object_key == "acme/calls/x/audio.wav"


def _reset(model: ModelInfo) -> Reset:
    return Reset(reason="ModelChanged", message="", model_hash=model.hash)


def test_a_call_that_nothing_was_said_of_needs_no_reset() -> None:
    assert CallPast().plan_reset(fakes.MODEL) is None


def test_windows_of_another_model_must_be_dropped_first() -> None:
    past = CallPast()
    past.take_window(_window(0, OTHER.hash))

    reset = past.plan_reset(fakes.MODEL)
    assert reset is not None
    assert reset.model_hash == fakes.MODEL.hash
    assert past.plan_reset(OTHER) is None


def test_what_clients_have_dropped_is_not_done() -> None:
    past = CallPast()
    past.take_window(_window(0))
    past.take_transcribed(_transcribed(fakes.MODEL))
    past.take_reset(_reset(OTHER))
    past.take_reset(_reset(fakes.MODEL))
    past.take_window(_window(1))

    assert sorted(past.windows_of(fakes.MODEL)) == [1]
    assert past.find_transcribed(fakes.MODEL) is None
    assert past.resets == 2


def test_a_stale_worker_of_the_model_before_needs_no_second_reset() -> None:
    """Clients take no segments of another model than that of the last reset."""
    past = CallPast()
    past.take_reset(_reset(fakes.MODEL))
    past.take_window(_window(0))
    past.take_window(_window(1, OTHER.hash))

    assert past.plan_reset(fakes.MODEL) is None
    assert sorted(past.windows_of(fakes.MODEL)) == [0]
    assert past.plan_reset(OTHER) is not None
