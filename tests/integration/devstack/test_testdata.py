"""The recordings: what they are, and that they are found again."""

import itertools

import pytest

from devstack import audio_files, testdata


async def test_two_cities_has_its_text() -> None:
    recording = await testdata.fetch_two_cities()

    assert recording.duration_seconds == pytest.approx(44.4, abs=0.1)
    assert len(recording.text.split()) == 119


async def test_prompts_have_words_and_no_tones() -> None:
    prompts = await testdata.fetch_prompts()

    assert len(prompts) > 400
    assert all(prompt.text and "[" not in prompt.text for prompt in prompts)


async def test_hold_music_is_there() -> None:
    assert len(await testdata.fetch_hold_music()) == 5


async def test_a_long_call_is_as_long_as_asked_and_made_once() -> None:
    first = await testdata.make_long_call(300)
    written_at = first.path.stat().st_mtime_ns
    second = await testdata.make_long_call(300)

    assert 300 <= first.duration_seconds < 320
    assert len(first.text.split()) > 500
    assert second == first
    assert second.path.stat().st_mtime_ns == written_at


async def test_a_stereo_call_has_a_voice_where_a_turn_says_so() -> None:
    call = await testdata.make_stereo_call()
    samples = audio_files.read_samples(call.path, testdata.TELEPHONE_RATE_HZ)

    for turn in call.turns:
        middle = int((turn.start_seconds + turn.end_seconds) / 2 * testdata.TELEPHONE_RATE_HZ)
        around = samples[turn.channel, middle - 4000 : middle + 4000]
        assert abs(around).max() > 1000, turn


async def test_a_stereo_call_has_interruptions() -> None:
    turns = (await testdata.make_stereo_call()).turns

    pairs = itertools.pairwise(turns)
    assert sum(later.start_seconds < earlier.end_seconds for earlier, later in pairs) == 3


@pytest.mark.parametrize("media_format", audio_files.MediaFormat)
async def test_every_format_keeps_the_length(media_format: audio_files.MediaFormat) -> None:
    recording = await testdata.fetch_two_cities()

    path = await testdata.make_variant(recording.path, media_format)

    samples = audio_files.read_samples(path, 16_000)
    assert samples.shape[1] / 16_000 == pytest.approx(recording.duration_seconds, abs=0.1)
