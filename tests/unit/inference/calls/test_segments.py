import numpy as np
from parlance.contracts.calls import Role, Segment
from parlance.contracts.tensors import AsrSegment, AsrWindow
from parlance.inference.audio.packer import Piece, Window
from parlance.inference.calls import segments
from parlance.inference.speakers.channels import ChannelSpeaker

_SPEAKER = ChannelSpeaker(1, "speaker_1", Role.CUSTOMER)
_WINDOW = Window(
    index=4,
    channel=1,
    samples=np.zeros(5 * 16_000, np.int16),
    pieces=(Piece(0.0, 100.0, 2.0), Piece(2.0, 110.0, 3.0)),
)


def _answer(*spoken: tuple[float, float, str], guard: str = "ok") -> AsrWindow:
    found = tuple(AsrSegment(start_seconds=s, end_seconds=e, text=t) for s, e, t in spoken)
    return AsrWindow(text="", segments=found, avg_logprob=-0.5, guard=guard)


def test_times_are_call_times_across_silence_that_was_cut_out() -> None:
    found = segments.build_segments(
        _WINDOW, _answer((0.5, 2.0, "before"), (2.0, 4.0, "after")), _SPEAKER
    )

    assert [(s.start_seconds, s.end_seconds) for s in found] == [(100.5, 102.0), (110.0, 112.0)]


def test_ids_speakers_and_confidence_are_set() -> None:
    (found,) = segments.build_segments(_WINDOW, _answer((0.0, 1.0, " hello ")), _SPEAKER)

    assert (found.id, found.speaker, found.role) == ("4-0", "speaker_1", Role.CUSTOMER)
    assert (found.channel, found.text, found.confidence) == (1, "hello", 0.6065)


def test_times_outside_the_window_are_clipped_to_it() -> None:
    (found,) = segments.build_segments(_WINDOW, _answer((4.9, 30.0, "late")), _SPEAKER)

    assert found.end_seconds == 113.0


def test_a_dropped_window_has_no_segments() -> None:
    assert segments.build_segments(_WINDOW, _answer((0, 1, "x"), guard="dropped"), _SPEAKER) == ()


def test_empty_text_is_left_out_and_takes_no_number() -> None:
    found = segments.build_segments(_WINDOW, _answer((0, 1, "  "), (1, 2, "x")), _SPEAKER)

    assert [segment.id for segment in found] == ["4-0"]


def test_segments_of_two_channels_are_sorted_by_time() -> None:
    def segment(id_: str, channel: int, start_seconds: float) -> Segment:
        return Segment(
            id=id_,
            channel=channel,
            speaker=f"speaker_{channel}",
            start_seconds=start_seconds,
            end_seconds=start_seconds + 1,
            text="x",
        )

    mixed = [segment("1-0", 1, 5.0), segment("0-1", 0, 7.0), segment("0-0", 0, 5.0)]

    assert [s.id for s in segments.sort_segments(mixed)] == ["0-0", "1-0", "0-1"]


def test_the_loudness_of_each_segment_is_measured() -> None:
    samples = np.concatenate([np.full(16_000, 3277, np.int16), np.full(16_000, 328, np.int16)])
    window = Window(index=0, channel=0, samples=samples, pieces=(Piece(0.0, 0.0, 2.0),))

    levels = segments.measure_levels(window, _answer((0, 1, "loud"), (1, 2, "faint")))

    assert levels == (-20.0, -40.0)


def test_what_fills_a_short_window_does_not_make_its_speech_fainter() -> None:
    loud = np.full(800, 3_277, np.int16)
    filled = np.concatenate((loud, np.zeros(7_200, np.int16)))
    window = Window(0, 0, filled, (Piece(0.0, 3.0, 0.05),))

    assert segments.measure_levels(window, _answer((0, 0.5, "yes"))) == (-20.0,)


def test_silence_and_times_outside_the_window_have_a_level_too() -> None:
    levels = segments.measure_levels(_WINDOW, _answer((0, 1, "x"), (9, 10, "late")))

    assert levels == (-100.0, -100.0)
