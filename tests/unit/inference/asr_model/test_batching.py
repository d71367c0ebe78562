"""Which windows share a batch."""

from asr import batching
from asr.batching import Key


def build_key(
    bucket_seconds: int = 15, *, timestamps: bool = True, beam: int = 1, prompt_tokens: int = 1
) -> Key:
    return Key(bucket_seconds, timestamps, beam, prompt_tokens)


def test_equal_windows_are_split_evenly_over_the_workers() -> None:
    batches = batching.plan_batches([build_key()] * 8, [14.0] * 8, workers=2)

    assert [len(batch) for batch in batches] == [4, 4]
    assert sorted(index for batch in batches for index in batch) == list(range(8))


def test_workers_get_long_and_short_windows_alike() -> None:
    batches = batching.plan_batches([build_key()] * 4, [3.0, 14.0, 4.0, 13.0], workers=2)

    assert batches == [[1, 2], [3, 0]]


def test_what_the_decoder_cannot_mix_is_kept_apart() -> None:
    keys = [
        build_key(),
        build_key(30),
        build_key(timestamps=False),
        build_key(beam=5),
        build_key(prompt_tokens=9),
    ]

    batches = batching.plan_batches(keys, [10.0] * 5, workers=2)

    assert sorted(batches) == [[0], [1], [2], [3], [4]]


def test_the_most_work_comes_first() -> None:
    keys = [build_key(15), build_key(30), build_key(15)]

    batches = batching.plan_batches(keys, [5.0, 28.0, 9.0], workers=1)

    assert batches == [[1], [2, 0]]


def test_no_windows_are_no_batches() -> None:
    assert batching.plan_batches([], [], workers=2) == []


def test_a_window_takes_the_smallest_shape_that_holds_it() -> None:
    durations = (0.1, 15.0, 15.01, 30.0)

    assert [batching.choose_bucket(duration) for duration in durations] == [15, 15, 30, 30]
