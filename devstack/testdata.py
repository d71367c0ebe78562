"""The recordings that demo, tests and benchmarks use: real speech, and what is said in it.

They are fetched from packages into the tool cache at the first call and never committed:

- `moonshine-voice` (wheel, MIT): the opening of A Tale of Two Cities; two short readings of plays.
- `asterisk-core-sounds-en-wav` (Debian, CC-BY-SA-3.0): telephone prompts at 8 kHz, with
transcripts. - `asterisk-moh-opsound-wav` (Debian, CC-BY-SA): hold music.

Longer and two-channel calls are put together from these. All functions are deterministic and
answer from the cache.
"""

import asyncio
import dataclasses
import functools
import gzip
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from devstack import audio_files, cache, packages, progress

LOCK_FILE = packages.LOCKS_FOLDER / "recordings.txt"
WHEEL_FILES = ("two_cities.wav", "beckett.wav", "endgame_nagg_nell.wav")
DEBIAN_PACKAGES = (
    "asterisk-core-sounds-en",
    "asterisk-core-sounds-en-wav",
    "asterisk-moh-opsound-wav",
)
PROMPTS_FOLDER = pathlib.Path("usr/share/asterisk/sounds/en_US_f_Allison")
TRANSCRIPTS = pathlib.Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
HOLD_MUSIC_FOLDER = pathlib.Path("usr/share/asterisk/moh")

TELEPHONE_RATE_HZ = 8_000
PAUSE_SECONDS = 0.6
# In the middle of the pauses of two_cities.wav; between them lie the lines of two_cities.txt.
TWO_CITIES_CUTS_SECONDS = (0.4, 4.8, 8.5, 13.1, 17.1, 20.8, 24.3, 28.7, 32.5, 42.2)
# Part of every made file's name, so that a changed recipe does not find the old file.
RECIPE = 1


@dataclasses.dataclass(frozen=True)
class Recording:
    """A WAV file and what is said in it."""

    path: pathlib.Path
    duration_seconds: float
    text: str
    """Empty if nobody has written it down."""


@dataclasses.dataclass(frozen=True)
class Turn:
    """A stretch of a two-channel call in which one side speaks."""

    channel: int
    start_seconds: float
    end_seconds: float
    text: str


@dataclasses.dataclass(frozen=True)
class StereoCall:
    """A WAV file with one speaker per channel, and who says what when."""

    path: pathlib.Path
    duration_seconds: float
    turns: tuple[Turn, ...]

    def format_text(self, channel: int) -> str:
        """All that one side says."""
        return " ".join(turn.text for turn in self.turns if turn.channel == channel)


async def fetch_two_cities() -> Recording:
    """44 s, 48 kHz, mono: one clear voice. The demo's call."""
    text = " ".join(read_two_cities_lines())
    return _describe(await _fetch_readings() / "two_cities.wav", text)


async def fetch_beckett() -> Recording:
    """10 s, 16 kHz, mono, no reference text."""
    return _describe(await _fetch_readings() / "beckett.wav")


async def fetch_two_voices() -> Recording:
    """28 s, 24 kHz, mono: two people in one channel, no reference text."""
    return _describe(await _fetch_readings() / "endgame_nagg_nell.wav")


async def fetch_hold_music() -> list[pathlib.Path]:
    """Five pieces of 73 to 322 s, 8 kHz, in which nobody speaks."""
    return sorted((await _fetch_debian() / HOLD_MUSIC_FOLDER).glob("*.wav"))


async def fetch_prompts() -> list[Recording]:
    """About 450 telephone prompts, 8 kHz, mono, in the order of their names; tones are left out."""
    folder = await _fetch_debian()
    texts = _read_transcripts(folder / TRANSCRIPTS)
    paths = {name: folder / PROMPTS_FOLDER / f"{name}.wav" for name in sorted(texts)}
    return [_describe(path, texts[name]) for name, path in paths.items() if path.exists()]


async def make_long_call(duration_seconds: float) -> Recording:
    """A mono telephone call of at least that length, made of prompts with pauses between them."""
    prompts = await fetch_prompts()
    chosen = list(_take_until(itertools.cycle(prompts), duration_seconds))
    path = _name_made_file(f"long-call-{duration_seconds:g}s.wav")
    await _make(path, functools.partial(_write_in_sequence, chosen))
    return _describe(path, " ".join(prompt.text for prompt in chosen))


async def make_stereo_call() -> StereoCall:
    """About 80 s, 8 kHz: the agent on channel 0; on 1 the customer, who at times interrupts."""
    prompts = [prompt for prompt in await fetch_prompts() if 2.5 <= prompt.duration_seconds <= 6]
    reading = (await fetch_two_cities()).path
    turns = _plan_turns(prompts)
    path = _name_made_file("stereo-call.wav")
    await _make(path, functools.partial(_write_turns, turns, prompts, reading))
    duration_seconds = audio_files.read_duration_seconds(path)
    return StereoCall(path, duration_seconds, tuple(turns))


async def make_variant(
    recording: pathlib.Path, media_format: audio_files.MediaFormat
) -> pathlib.Path:
    """The same recording in another container and codec."""
    key = cache.format_key([recording.read_bytes()])
    path = _name_made_file(f"{recording.stem}-{key}.{media_format}")
    await _make(path, lambda unfinished: audio_files.encode(recording, unfinished, media_format))
    return path


async def write_big_wav(path: pathlib.Path, size_bytes: int, rate_hz: int = 16_000) -> None:
    """A mono WAV file of about that size at a place of the caller's: the reading, over and over.

    500 MB at 16 kHz last 4.3 hours. Not cached, for its size.
    """
    reading = (await fetch_two_cities()).path
    samples = await asyncio.to_thread(audio_files.read_samples, reading, rate_hz)
    await asyncio.to_thread(audio_files.write_wav_of_size, path, samples, rate_hz, size_bytes)


def read_two_cities_lines() -> list[str]:
    """What is said in two_cities.wav, by Charles Dickens, one line per breath."""
    return pathlib.Path(__file__).with_name("two_cities.txt").read_text().splitlines()


async def _fetch_readings() -> pathlib.Path:
    pin = packages.read_pin(LOCK_FILE)
    folder = cache.find_cache_folder("testdata") / pin.replace("==", "-")
    async with cache.open_lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            async with progress.open_step(f"fetching recordings ({pin})"):
                with (
                    cache.open_scratch_folder(folder) as wheel,
                    cache.open_new_folder(folder) as chosen,
                ):
                    await packages.fetch_wheel(LOCK_FILE, wheel)
                    for name in WHEEL_FILES:
                        (wheel / "moonshine_voice" / "assets" / name).rename(chosen / name)
    return folder


async def _fetch_debian() -> pathlib.Path:
    folder = cache.find_cache_folder("testdata") / "asterisk-sounds"
    async with cache.open_lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            async with progress.open_step("fetching telephone prompts and hold music (Debian)"):
                with cache.open_new_folder(folder) as unpacked:
                    await packages.fetch_debian_packages(DEBIAN_PACKAGES, unpacked)
    return folder


def _describe(path: pathlib.Path, text: str = "") -> Recording:
    return Recording(path, audio_files.read_duration_seconds(path), text)


def _read_transcripts(path: pathlib.Path) -> dict[str, str]:
    """File names without ending, and their words; "[beep]" and the like are no words."""
    texts = {}
    for line in gzip.decompress(path.read_bytes()).decode("utf-8", "replace").splitlines():
        found = re.fullmatch(r"([\w/-]+): ([^\[\]<>()]+)", line.strip())
        if found:
            texts[found[1]] = found[2]
    return texts


def _name_made_file(name: str) -> pathlib.Path:
    return cache.find_cache_folder("testdata", f"made-{RECIPE}") / name


async def _make(path: pathlib.Path, write: Callable[[pathlib.Path], None]) -> None:
    async with cache.open_lock(path.with_name(f"{path.name}.lock")):
        if not path.exists():
            async with progress.open_step(f"making {path.name}"):
                with cache.open_new_file(path) as unfinished:
                    await asyncio.to_thread(write, unfinished)


def _take_until(prompts: Iterator[Recording], duration_seconds: float) -> Iterator[Recording]:
    total_seconds = 0.0
    while total_seconds < duration_seconds:
        prompt = next(prompts)
        total_seconds += prompt.duration_seconds + PAUSE_SECONDS
        yield prompt


def _write_in_sequence(prompts: Sequence[Recording], path: pathlib.Path) -> None:
    pause = np.zeros((1, int(PAUSE_SECONDS * TELEPHONE_RATE_HZ)), np.int16)
    parts = []
    for prompt in prompts:
        parts += [audio_files.read_samples(prompt.path, TELEPHONE_RATE_HZ), pause]
    audio_files.write_wav(path, np.concatenate(parts, axis=1), TELEPHONE_RATE_HZ)


def _plan_turns(prompts: Sequence[Recording]) -> list[Turn]:
    """Agent and customer in turn; at the third and sixth turn the customer does not wait."""
    turns = []
    now_seconds = 0.5
    cuts = itertools.pairwise(TWO_CITIES_CUTS_SECONDS)
    for index, (line, (start, end)) in enumerate(zip(read_two_cities_lines(), cuts, strict=True)):
        prompt = prompts[index]
        agent_end = now_seconds + prompt.duration_seconds
        turns.append(Turn(0, now_seconds, agent_end, prompt.text))
        customer_start = agent_end + (-1.0 if index % 3 == 2 else PAUSE_SECONDS)
        customer_end = customer_start + end - start
        turns.append(Turn(1, customer_start, customer_end, line))
        now_seconds = customer_end + PAUSE_SECONDS
    return turns


def _write_turns(
    turns: Sequence[Turn],
    prompts: Sequence[Recording],
    reading: pathlib.Path,
    path: pathlib.Path,
) -> None:
    last_seconds = max(turn.end_seconds for turn in turns) + PAUSE_SECONDS
    call = np.zeros((2, int(last_seconds * TELEPHONE_RATE_HZ)), np.int16)
    read = audio_files.read_samples(reading, TELEPHONE_RATE_HZ)
    cuts = itertools.pairwise(int(cut * TELEPHONE_RATE_HZ) for cut in TWO_CITIES_CUTS_SECONDS)
    agent = (audio_files.read_samples(prompt.path, TELEPHONE_RATE_HZ) for prompt in prompts)
    customer = (read[:, start:end] for start, end in cuts)
    voices = (agent, customer)
    for turn in turns:
        words = next(voices[turn.channel])
        first = int(turn.start_seconds * TELEPHONE_RATE_HZ)
        call[turn.channel, first : first + words.shape[1]] = words[0]
    audio_files.write_wav(path, call, TELEPHONE_RATE_HZ)
