"""Upload of a 500 MB recording: Parlance's `add-calls` beside a bare Litestar `UploadFile` handler.

    python -m bench.upload [--runs N] [--megabytes N] [--folder PATH]

Each runs as a process of its own under the same server, takes the same file from the same client
(curl) over loopback, in turn. The bare handler parses the form and counts the bytes, and its file
is gone with the request. The keeping handler is what one writes next: it hashes the file, copies it
to where it stays and waits until the disk has it. Parlance does all that, checks the key, probes
the audio and commits the call. Prints seconds, MB/s and how far the server's memory grew.

All files lie in `--folder`. On a disk the bare handler's bytes never reach it and the others' must,
so the comparison with it is one of disks; a folder in memory (`--folder /dev/shm`) leaves what the
handlers themselves cost. Parlance uses a second core for hash and write, so on a busy machine its
clock suffers more than the peers'.
"""

import argparse
import asyncio
import contextlib
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psutil
from parlance.api import bootstrap
from parlance.api.db import migrate, session
from parlance.api.settings import DatabaseSettings
from pydantic import SecretStr

from bench import no_cluster
from devstack import nats_server, ports, postgres, process

MIB = 1 << 20
RATE_HZ = 16_000
START_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """A server to upload to."""

    name: str
    url: str
    pid: int
    form: tuple[str, ...] = ()
    stored: pathlib.Path | None = None
    """What it keeps. Emptied after each run, as the peer's temporary file is: else only one of the
    two would write into memory that the machine has to find and clear first."""


@dataclass(frozen=True)
class Measurement:
    """One upload."""

    seconds: float
    cpu_seconds: float
    """Of the server and its children; says more than the clock when the machine is busy."""
    grown_bytes: int


async def main() -> None:
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="bench-upload-", dir=options.folder) as name:
        folder = pathlib.Path(name)
        recording = _write_recording(folder / "call.wav", options.megabytes * 1_048_576)
        async with contextlib.AsyncExitStack() as stack:
            targets = [
                await stack.enter_async_context(_open_peer("bare UploadFile", folder)),
                await stack.enter_async_context(_open_peer("keeping UploadFile", folder, "kept")),
                await stack.enter_async_context(_open_parlance(folder)),
            ]
            results = {target.name: _measure_warm(target, folder) for target in targets}
            for _ in range(options.runs):
                for target in targets:
                    results[target.name].append(_measure(target, recording))
        _report(results, recording.stat().st_size)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--folder", type=pathlib.Path, help="default: that of temporary files")
    return parser.parse_args()


def _write_recording(path: pathlib.Path, size_bytes: int) -> pathlib.Path:
    """A valid WAV of noise, 4.5 hours at 500 MB."""
    data_bytes = size_bytes - 44
    block = os.urandom(MIB)
    with path.open("wb") as file:
        file.write(b"RIFF" + (size_bytes - 8).to_bytes(4, "little") + b"WAVEfmt ")
        file.write((16).to_bytes(4, "little") + b"\x01\x00\x01\x00")
        file.write(RATE_HZ.to_bytes(4, "little") + (2 * RATE_HZ).to_bytes(4, "little"))
        file.write(b"\x02\x00\x10\x00data" + data_bytes.to_bytes(4, "little"))
        while data_bytes > 0:
            file.write(block[: min(MIB, data_bytes)])
            data_bytes -= MIB
    return path


@contextlib.asynccontextmanager
async def _open_peer(name: str, folder: pathlib.Path, kept: str = "") -> AsyncIterator[Target]:
    """`kept`: the folder in which the file stays; without it, it does not."""
    port = ports.find_free_port()
    argv = [sys.executable, "-m", "bench.upload_bare", str(port)]
    stored = folder / kept if kept else None
    if stored is not None:
        stored.mkdir()
        argv.append(str(stored))
    environment = {"TMPDIR": str(folder)}
    async with _open_process(name, argv, folder, port, environment) as pid:
        yield Target(name, f"http://127.0.0.1:{port}/", pid, stored=stored)


@contextlib.asynccontextmanager
async def _open_parlance(folder: pathlib.Path) -> AsyncIterator[Target]:
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server.open_nats(folder / "nats"))
        server = await stack.enter_async_context(postgres.open_postgres(folder / "postgres"))
        owner = server.format_dsn(server.admin_user, server.admin_password, "bench")
        app = server.format_dsn("parlance_app", "bench", "bench")
        await migrate.upgrade(owner, app)
        async with session.open_database(DatabaseSettings(database_url=SecretStr(app))) as database:
            made = await bootstrap.bootstrap(database, bootstrap.Spec(company="Bench"))
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(no_cluster.KUBECONFIG)
        port = ports.find_free_port()
        environment = {
            "PARLANCE_DATABASE_URL": app,
            "PARLANCE_NATS_URL": nats.url,
            "PARLANCE_STORE_URL": f"file://{folder}/objects",
            "PARLANCE_HTTP_HOST": "127.0.0.1",
            "PARLANCE_HTTP_PORT": str(port),
            "PARLANCE_METRICS_HOST": "127.0.0.1",
            "PARLANCE_METRICS_PORT": str(ports.find_free_port()),
            "KUBECONFIG": str(kubeconfig),
        }
        argv = [sys.executable, "-m", "parlance.api", "serve"]
        pid = await stack.enter_async_context(
            _open_process("parlance", argv, folder, port, environment)
        )
        url = f"http://127.0.0.1:{port}/api/add-calls"
        form = ("-F", f"api_key={made.api_key}", "-F", "allow_duplicate=true")
        yield Target("parlance add-calls", url, pid, form, folder / "objects" / "bench")


@contextlib.asynccontextmanager
async def _open_process(
    name: str, argv: list[str], folder: pathlib.Path, port: int, environment: dict[str, str]
) -> AsyncIterator[int]:
    command = process.Command(
        name=name, argv=argv, log_path=folder / f"{name}.log", environment=environment
    )

    async def is_ready() -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    async with process.open_server(command, is_ready) as opened:
        yield opened.pid


def _measure_warm(target: Target, folder: pathlib.Path) -> list[Measurement]:
    """A small upload first: imports and pools are no growth of a large one."""
    _measure(target, _write_recording(folder / "warm.wav", 2 * MIB))
    return []


def _measure(target: Target, recording: pathlib.Path) -> Measurement:
    server = psutil.Process(target.pid)
    before_bytes, before_cpu = server.memory_info().rss, _sum_cpu(server)
    argv = ["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", *target.form]
    argv += ["-F", f"call=@{recording}", target.url]
    started = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as client:
        peak_bytes = before_bytes
        while client.poll() is None:
            peak_bytes = max(peak_bytes, server.memory_info().rss)
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        assert client.stdout is not None
        answer = client.stdout.read()
    if target.stored is not None:
        for path in target.stored.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.sync()  # the removal is ours: else whoever flushes next pays for it
    if not re.search(r"\n201$", answer):
        raise SystemExit(f"{target.name} answered: {answer}")
    return Measurement(seconds, _sum_cpu(server) - before_cpu, peak_bytes - before_bytes)


def _sum_cpu(server: psutil.Process) -> float:
    return float(sum(server.cpu_times()[:4]))


def _report(results: dict[str, list[Measurement]], size_bytes: int) -> None:
    print(f"file: {size_bytes:,} bytes, {len(next(iter(results.values())))} runs each, median")
    medians = {}
    for name, runs in results.items():
        seconds = statistics.median(run.seconds for run in runs)
        cpu_seconds = statistics.median(run.cpu_seconds for run in runs)
        grown_mib = max(run.grown_bytes for run in runs) / MIB
        medians[name] = seconds
        rate = size_bytes / seconds / 1e6
        print(
            f"{name:20} {seconds:5.2f} s  {rate:4.0f} MB/s  {cpu_seconds:5.2f} s of CPU"
            f"  memory grew at most {grown_mib:.0f} MiB"
        )
    *peers, (_, ours) = medians.items()
    for name, seconds in peers:
        print(f"ratio of times, parlance / {name}: {ours / seconds:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
