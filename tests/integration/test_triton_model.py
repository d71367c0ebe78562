"""The model `asr_whisper` in a real Triton server, over gRPC."""

import asyncio
import os
import pathlib
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from parlance.contracts import tensors
from tritonclient.utils import InferenceServerException

from devstack import audio_files, guard, testdata, triton, waiting
from devstack.wer import word_error_rate
from tests.integration.triton_client import ModelClient, Pcm, cut_windows, make_noise

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_WER = 0.12
# In pauses of two_cities.wav: short and long windows, none longer than 16 s.
CUTS_SECONDS = (0.0, 8.5, 20.8, 24.3, 32.5, 44.3)


@pytest_asyncio.fixture(loop_scope="module")
async def client(triton_server: triton.TritonServer) -> AsyncIterator[ModelClient]:
    connected = ModelClient(triton_server.grpc_url)
    yield connected
    await connected.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reading() -> Pcm:
    """44 s of one clear voice at 16 kHz."""
    recording = await testdata.fetch_two_cities()
    return read_pcm(recording.path)


def read_pcm(path: pathlib.Path) -> Pcm:
    samples: Pcm = audio_files.read_samples(path, tensors.SAMPLE_RATE_HZ).reshape(-1)
    return samples


async def test_speech_comes_back_as_its_words_with_times(client: ModelClient, reading: Pcm) -> None:
    windows = cut_windows(reading, CUTS_SECONDS)

    results = await client.transcribe_all(windows)

    text = " ".join(result["text"] for result in results)
    assert word_error_rate(" ".join(testdata.read_two_cities_lines()), text) <= MAX_WER
    for pcm, result in zip(windows, results, strict=True):
        starts = [segment["start_seconds"] for segment in result["segments"]]
        ends = [segment["end_seconds"] for segment in result["segments"]]
        assert starts == sorted(starts)
        assert all(end > start for start, end in zip(starts, ends, strict=True))
        assert ends[-1] <= len(pcm) / tensors.SAMPLE_RATE_HZ
        assert result["language"] == "en"
        assert result["guard"] in {"ok", "retried"}


async def test_fast_speech_is_not_cut_off(client: ModelClient, reading: Pcm) -> None:
    """290 words a minute without pauses: a window needs more than 100 tokens."""
    fast = audio_files.speed_up(reading, tensors.SAMPLE_RATE_HZ, 1.8).reshape(-1)

    results = await client.transcribe_all(cut_windows(fast, (0.0, 20.8 / 1.8, 44.3 / 1.8)))

    text = " ".join(result["text"] for result in results)
    assert word_error_rate(" ".join(testdata.read_two_cities_lines()), text) <= MAX_WER


async def test_a_long_window_has_a_segment_per_sentence(client: ModelClient, reading: Pcm) -> None:
    (window,) = cut_windows(reading, (8.5, 37.5))

    result = await client.transcribe(window)

    assert len(result["segments"]) >= 3
    assert all(s["end_seconds"] - s["start_seconds"] < 15 for s in result["segments"])


async def test_nothing_is_lost_where_the_model_stops_early(
    client: ModelClient, reading: Pcm
) -> None:
    """29 s of telephone prompts: alone, Whisper with timestamps leaves out the last sentences."""
    wanted = ("conf-", "dir-", "vm-")
    prompts = [p for p in await testdata.fetch_prompts() if p.path.name.startswith(wanted)]
    windows = _pack(prompts[:40], limit_seconds=28.5)

    results = await client.transcribe_all([pcm for pcm, _ in windows])

    text = " ".join(result["text"] for result in results)
    assert word_error_rate(" ".join(text for _, text in windows), text) <= MAX_WER


def _pack(prompts: list[testdata.Recording], limit_seconds: float) -> list[tuple[Pcm, str]]:
    """Prompts one after the other, with short pauses, in as few windows as possible."""
    pause = np.zeros(tensors.SAMPLE_RATE_HZ // 4, np.int16)
    packed: list[tuple[Pcm, str]] = []
    pcm, text = pause[:0], ""
    for prompt in prompts:
        spoken = read_pcm(prompt.path)
        if len(pcm) + len(spoken) > limit_seconds * tensors.SAMPLE_RATE_HZ:
            packed.append((pcm, text))
            pcm, text = pause[:0], ""
        pcm, text = np.concatenate([pcm, spoken, pause]), f"{text} {prompt.text}"
    return [*packed, (pcm, text)]


async def test_unequal_windows_are_decoded_together(client: ModelClient, reading: Pcm) -> None:
    windows = cut_windows(reading, (0, 3, 8, 14, 21, 27.5, 34, 41, 44))

    results = await client.transcribe_all(windows)

    assert max(result["batch"] for result in results) >= 3


async def test_windows_with_different_options_do_not_disturb_each_other(
    client: ModelClient, reading: Pcm
) -> None:
    (window,) = cut_windows(reading, (0.0, 8.5))
    wishes: list[dict[str, object]] = [
        {"timestamps": False},
        {"beam": 5},
        {"prompt": "Charles Dickens"},
        {},
    ]

    results = await asyncio.gather(*(client.transcribe(window, wish) for wish in wishes))

    for result in results:
        assert "worst of times" in result["text"].lower()
    assert len(results[0]["segments"]) == 1


async def test_word_times_are_given_when_asked_for(client: ModelClient, reading: Pcm) -> None:
    (window,) = cut_windows(reading, (0.0, 8.5))

    result = await client.transcribe(window, {"words": True})

    words = [word for segment in result["segments"] for word in segment["words"]]
    starts = [word["start_seconds"] for word in words]
    assert [word["text"] for word in words[:4]] == ["It", "was", "the", "best"]
    assert starts == sorted(starts)
    assert 0.0 <= starts[0] < 1.5
    assert words[-1]["end_seconds"] <= 8.5


async def test_queue_and_compute_time_are_told(client: ModelClient, reading: Pcm) -> None:
    (result,) = await client.transcribe_all([reading[: 5 * tensors.SAMPLE_RATE_HZ]])

    assert result["queue_us"] > 0
    assert result["compute_us"] > 10_000
    assert result["model"] == "whisper-tiny.en"
    assert len(result["model_hash"]) == 64


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(10 * tensors.SAMPLE_RATE_HZ, np.int16),
        make_noise(10, level=30),
        make_noise(10, level=1000),
        make_noise(25, level=8000),
    ],
    ids=["silence", "hiss", "noise", "roar"],
)
async def test_no_words_are_invented_where_nobody_speaks(client: ModelClient, sound: Pcm) -> None:
    result = await client.transcribe(sound)

    assert (result["text"], result["segments"]) == ("", [])
    assert (result["guard"], result["guard_reason"]) == ("dropped", "no_speech")


async def test_no_words_are_invented_in_hold_music(client: ModelClient) -> None:
    pieces = [read_pcm(path) for path in await testdata.fetch_hold_music()]
    windows = [
        piece[start : start + 14 * tensors.SAMPLE_RATE_HZ]
        for piece in pieces
        for start in range(0, 56 * tensors.SAMPLE_RATE_HZ, 14 * tensors.SAMPLE_RATE_HZ)
    ]

    results = await client.transcribe_all(windows)

    assert {result["text"] for result in results} == {""}


@pytest.mark.parametrize(
    ("pcm", "options", "words"),
    [
        (np.zeros(0, np.int16), None, "unable to find data for input tensor 'AUDIO'"),
        (np.zeros(31, np.int16), None, "31 samples, fewer than 1600"),
        (np.zeros(480_001, np.int16), None, "480001 samples, more than 480000"),
        (np.zeros(16_000, np.int16), b"{", "OPTIONS is not JSON"),
        (np.zeros(16_000, np.int16), {"beams": 5}, "unknown key 'beams'"),
        (np.zeros(16_000, np.int16), {"language": "de"}, "knows English only"),
    ],
    ids=["empty", "short", "long", "no-json", "unknown-option", "language"],
)
async def test_an_unusable_request_is_told_why_and_harms_nobody(
    client: ModelClient, reading: Pcm, pcm: Pcm, options: bytes | None, words: str
) -> None:
    good = reading[: 3 * tensors.SAMPLE_RATE_HZ]

    refused, answered = await asyncio.gather(
        client.transcribe(pcm, options), client.transcribe(good), return_exceptions=True
    )

    assert isinstance(refused, InferenceServerException)
    assert refused.status() == "StatusCode.INVALID_ARGUMENT"
    assert words in refused.message()
    assert isinstance(answered, dict)
    assert answered["text"]


@pytest.mark.timeout(400)  # two starts of a server
async def test_the_death_of_the_model_is_seen_by_a_real_inference(tmp_path: pathlib.Path) -> None:
    async with triton.open_triton(tmp_path) as own_server:
        for pid in own_server.list_model_pids():
            os.kill(pid, signal.SIGKILL)

        async def is_dead() -> bool:
            return not await triton.is_transcribing(own_server.grpc_url)

        await waiting.wait_until(is_dead, 60, "the canary has noticed")
        await own_server.process.restart()

        assert await triton.is_transcribing(own_server.grpc_url)


@pytest.mark.timeout(200)  # a server may take 120 s to start
async def test_nothing_is_left_behind_when_a_server_is_killed(tmp_path: pathlib.Path) -> None:
    async with triton.open_triton(tmp_path) as own_server:
        pids = [own_server.process.pid, *own_server.list_model_pids()]
        await own_server.process.kill()

        assert guard.list_living(pids) == set()
