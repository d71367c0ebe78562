from parlance.contracts.bus.calls import SegmentsReady, Started, Transcribed
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

    assert sorted(past.windows_of(fakes.MODEL.hash)) == [0, 1]


def test_windows_of_another_model_do_not() -> None:
    past = CallPast()
    past.take_window(_window(0, OTHER.hash))

    assert past.windows_of(fakes.MODEL.hash) == {}


def test_a_transcript_of_another_model_is_not_used_again() -> None:
    past = CallPast()
    past.take_transcribed(_transcribed(fakes.MODEL))
    past.take_transcribed(_transcribed(OTHER))

    found = past.find_transcribed(fakes.MODEL.hash)
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
