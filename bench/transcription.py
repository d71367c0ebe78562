"""`make bench`: Parlance beside faster-whisper, on the same audio, weights and cores, in one run.

Prints speed (audio seconds per wall second) and time to first segment for each, as ratios to the
batched peer, and where the time of one call goes between upload and `call.completed`. The machine
may be noisy: trust ratios of one run, not single figures. `--rounds` repeats and prints medians.
"""

import argparse
import asyncio
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from bench.peers import Measurement
from devstack import audio_files, testdata, triton, wer
from devstack import stack as stack_module
from devstack.api_client import ApiClient, Event
from devstack.stack import Stack

LONG_SECONDS = 969.0
SHORT_SECONDS = 300.0
CALLS = 8
"""Of SHORT_SECONDS each, at once."""
BASELINE = "batched(8), beam 1"
CALL_TIMEOUT_SECONDS = 600.0


async def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args(argv).rounds
    recording = await testdata.make_long_call(LONG_SECONDS)
    short = await testdata.make_long_call(SHORT_SECONDS)
    with tempfile.TemporaryDirectory(prefix="parlance-bench-") as name:
        folder = pathlib.Path(name)
        copies = [
            audio_files.write_unique(short.path, folder / f"call-{number}.wav", number)
            for number in range(CALLS)
        ]
        results: dict[str, list[Measurement]] = defaultdict(list)
        profile: list[Event] = []
        for number in range(rounds):
            for measurement in await _measure_peers(recording.path, copies):
                results[measurement.name].append(measurement)
            # A new stack each round: its model is warm, its disk and its database are empty.
            async with stack_module.open_stack(folder / f"stack-{number}") as stack:
                for measurement in await _measure_stack(stack, recording.path, copies, profile):
                    results[measurement.name].append(measurement)
    _print_table(results, recording.text)
    _print_profile(profile)
    return 0


async def _measure_peers(one: pathlib.Path, many: Sequence[pathlib.Path]) -> list[Measurement]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.peers", str(one), *map(str, many),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
        # Large pages, as Parlance's model has them; the threads are the peer's own choice.
        env={**os.environ, "GLIBC_TUNABLES": triton.TUNING["GLIBC_TUNABLES"]},
    )  # fmt: skip
    output, _ = await started.communicate()
    assert started.returncode == 0, "the peers failed"
    return [Measurement(**json.loads(line)) for line in output.splitlines()]


async def _measure_stack(
    stack: Stack, long: pathlib.Path, shorts: Sequence[pathlib.Path], profile: list[Event]
) -> list[Measurement]:
    async with ApiClient(stack.url, stack.credentials.api_key) as client:
        await _transcribe(client, (await testdata.fetch_beckett()).path)  # warm, as the peers are
        one, events = await _measure_calls(client, "parlance, one call", [long])
        profile[:] = events[0]
        many, _ = await _measure_calls(client, f"parlance, {CALLS} calls at once", shorts)
    return [one, many]


async def _measure_calls(
    client: ApiClient, name: str, paths: Sequence[pathlib.Path]
) -> tuple[Measurement, list[list[Event]]]:
    started = time.perf_counter()
    runs = await asyncio.gather(*(_transcribe(client, path) for path in paths))
    wall = time.perf_counter() - started
    firsts = [first - started for first, _ in runs]
    events = [events for _, events in runs]
    seconds = sum(_find_data(one, "call.completed")["duration_seconds"] for one in events)
    text = " ".join(_texts(events[0]))
    return Measurement(name, seconds, wall, statistics.median(firsts), text), events


async def _transcribe(client: ApiClient, path: pathlib.Path) -> tuple[float, list[Event]]:
    """Upload, follow to the end; returns when the first segment came, and all events."""
    first: float | None = None
    events = []
    async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
        call_id = await client.create_call(path)
        async for event in client.follow(call_id):
            if event.type == "call.segment" and first is None:
                first = time.perf_counter()
            events.append(event)
    assert events[-1].type == "call.completed", events[-1]
    return first or time.perf_counter(), events


def _texts(events: Sequence[Event]) -> list[str]:
    return [
        segment["text"]
        for event in events
        if event.type == "call.segment"
        for segment in event.data["data"]["segments"]
    ]


def _find_data(events: Sequence[Event], type_: str) -> dict[str, float]:
    return next(event.data["data"] for event in events if event.type == type_)


def _print_table(results: dict[str, list[Measurement]], reference: str) -> None:
    speeds = {name: statistics.median(run.speed for run in runs) for name, runs in results.items()}
    base = speeds[BASELINE]
    base_of_many = max(speed for name, speed in speeds.items() if "files" in name)
    print(f"\n{'':36}{'speed':>9}{'ratio':>8}{'first segment':>16}{'WER':>8}")
    for name, runs in results.items():
        first = statistics.median(one.first_segment_seconds for one in runs)
        is_many = "files" in name or "calls" in name
        rate = "" if is_many else f"{wer.word_error_rate(reference, runs[0].text):.1%}"
        ratio = speeds[name] / (base_of_many if is_many else base)
        print(f"{name:36}{speeds[name]:8.1f}x{ratio:8.2f}{first:14.2f} s{rate:>8}")
    print("speed: audio seconds per wall second, upload to the last event")
    print(f"ratio: of one file to {BASELINE}, of several to the faster of the peer's two ways")


def _print_profile(events: Sequence[Event]) -> None:
    """When each event of the one call came, and what the worker says of its own time."""
    print("\nWhere the time of one call goes (seconds after call.queued)")
    zero = _time_of(events, "call.queued")
    for type_ in ("call.queued", "call.started", "call.segment", "call.transcribed",
                  "call.analyzed", "call.completed"):  # fmt: skip
        print(f"  {_time_of(events, type_) - zero:8.2f}  {type_}")
    timings = next(e.data["data"] for e in events if e.type == "call.analyzed").get("timings", {})
    print("  the worker's stages: " + ", ".join(f"{k} {v:.2f}" for k, v in timings.items()))


def _time_of(events: Sequence[Event], type_: str) -> float:
    """Of the first event of this type, by its own timestamp."""
    event = next(event for event in events if event.type == type_)
    return datetime.fromisoformat(event.data["timestamp"]).timestamp()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
