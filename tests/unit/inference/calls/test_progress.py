"""How far a call is, as its signs of life tell it."""

from parlance.contracts.bus.calls import SegmentsReady
from parlance.contracts.calls import Role, Stage
from parlance.inference.calls.progress import CallProgress

from tests.unit.inference import fakes


def _window(number: int) -> SegmentsReady:
    """The window that ends the next 15 of 60 seconds."""
    end_seconds = 15.0 * (number + 1)
    return SegmentsReady(
        window=number,
        channel=0,
        speaker="speaker_0",
        role=Role.UNKNOWN,
        start_seconds=end_seconds - 15,
        end_seconds=end_seconds,
        segments=(),
        model_hash=fakes.MODEL.hash,
        processed_seconds=end_seconds,
        total_seconds=60,
    )


def test_progress_counts_windows_in_any_order_and_never_goes_back() -> None:
    progress = CallProgress()
    progress.note_length(60)
    progress.note_window(_window(1))
    progress.note_window(_window(0))

    sign = progress.build_event(None)
    assert (sign.percent, sign.processed_seconds, sign.total_seconds) == (47, 30.0, 60.0)


def test_before_the_audio_is_open_the_windows_of_earlier_runs_tell_the_length() -> None:
    progress = CallProgress()
    progress.note_window(_window(0))

    sign = progress.build_event(None)
    assert (sign.percent, sign.total_seconds) == (23, 60.0)


def test_nothing_is_known_of_a_call_that_nobody_has_begun() -> None:
    assert CallProgress().build_event(None).percent == 0


def test_after_the_transcript_a_sign_of_life_does_not_fall_back_into_transcribing() -> None:
    progress = CallProgress()
    progress.note_length(100.0)
    progress.note_transcribed()

    sign = progress.build_event(None)

    assert (sign.percent, sign.stage, sign.processed_seconds) == (95, Stage.INSIGHTS, 100.0)
