"""Tickets by the batch: how fast the API accepts them and how fast they are analysed.

    python -m bench.tickets [--tickets N] [--messages N] [--batch N] [--folder PATH]

Runs NATS, Postgres, one API, one recorder and one text worker as processes of their own, posts the
tickets in batches over loopback from one client, and follows the company's events until the last
ticket is completed. Prints tickets per second accepted and analysed, seconds of CPU per ticket of
each process, and how far the memory of each grew. No Kubernetes and no speech model: tickets need
neither.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
from parlance.api import bootstrap
from parlance.api.db import migrate, session
from parlance.api.settings import DatabaseSettings
from pydantic import SecretStr

from bench import no_cluster
from devstack import nats_server, ports, postgres, stack
from devstack.process import ServerProcess

MIB = 1 << 20
SEED = 7
QUIET_SECONDS = 60.0
"""Nothing completed for so long: something is wrong."""
SETTLE_SECONDS = 6.0
"""The recorder has looked for lost jobs by then. What is queued in the first half minute of a new
NATS counts as lost in its first look, as clocks may differ, and is sent twice."""
CUSTOMER_LINES = (
    "My parcel has not arrived and the tracking page shows nothing since last Tuesday.",
    "I was charged twice for the same order, please refund the second payment.",
    "The app crashes every time I open the settings, this is really annoying.",
    "Thank you, that was quick and very helpful!",
    "Can you tell me when the new version will be available in my country?",
    "I have tried to reset my password three times and no mail ever comes.",
    "The invoice shows the wrong address, could you correct it for us?",
    "This is the second time that the device stops working after an update.",
)
AGENT_LINES = (
    "Thank you for your message, I am sorry for the trouble this has caused you.",
    "I have checked the order and the refund will be on your account within five days.",
    "Could you please send me the number of the order and the mail address you used?",
    "Our engineers found the cause and the next update will fix it.",
    "I have corrected the address and sent the invoice again.",
    "Is there anything else that I can do for you today?",
    "Please restart the device and tell me whether the light turns green.",
    "The ticket is resolved now, have a good day.",
)


@dataclass(frozen=True)
class Usage:
    """What a process and its children have used so far."""

    cpu_seconds: float
    rss_bytes: int


@dataclass(frozen=True)
class Bench:
    """The running parts."""

    url: str
    api_key: str
    pids: Mapping[str, int]

    def measure(self) -> dict[str, Usage]:
        return {name: _measure(psutil.Process(pid)) for name, pid in self.pids.items()}


async def main() -> None:
    options = _parse_options()
    bodies = build_bodies(options.tickets, options.messages, options.batch)
    with tempfile.TemporaryDirectory(prefix="bench-tickets-", dir=options.folder) as name:
        async with open_bench(pathlib.Path(name)) as bench:
            await asyncio.sleep(SETTLE_SECONDS)
            await _run(bench, bodies[:1], is_shown=False)  # warms every process up
            await _run(bench, bodies, is_shown=True)


def build_bodies(tickets: int, messages: int, batch: int) -> list[bytes]:
    """The requests, ready to be sent; the same ones for the same numbers."""
    chance = random.Random(SEED)
    items = [_build_ticket(chance, messages) for _ in range(tickets)]
    return [
        json.dumps({"tickets": items[first : first + batch]}).encode()
        for first in range(0, tickets, batch)
    ]


def _build_ticket(chance: random.Random, messages: int) -> dict[str, Any]:
    lines = []
    for number in range(messages):
        role, texts = (("customer", CUSTOMER_LINES), ("agent", AGENT_LINES))[number % 2]
        at = f"2026-03-01T{10 + number // 60:02d}:{number % 60:02d}:00Z"
        words = f"{chance.choice(texts)} Reference {chance.randrange(10**6)}."
        lines.append({"role": role, "text": words, "created_at": at})
    return {"subject": "Question", "channel": "chat", "messages": lines}


@contextlib.asynccontextmanager
async def open_bench(folder: pathlib.Path) -> AsyncIterator[Bench]:
    async with contextlib.AsyncExitStack() as opened:
        nats = await opened.enter_async_context(nats_server.open_nats(folder / "nats"))
        server = await opened.enter_async_context(postgres.open_postgres(folder / "postgres"))
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
            "PARLANCE_HTTP_HOST": ports.LOOPBACK,
            "PARLANCE_HTTP_PORT": str(port),
            "PARLANCE_METRICS_HOST": ports.LOOPBACK,
            "PARLANCE_WORKER_LANES": "ticket",
            "KUBECONFIG": str(kubeconfig),
        }
        processes = {"nats": nats.process, "postgres": server.process}
        for name, words in {
            "recorder": ("api", "recorder"),
            "worker": ("inference", "worker"),
            "api": ("api", "serve"),
        }.items():
            starting = stack.open_parlance(folder, environment, name, *words)
            processes[name] = await opened.enter_async_context(starting)
        yield Bench(f"http://{ports.LOOPBACK}:{port}", made.api_key or "", _list_pids(processes))


def _list_pids(processes: Mapping[str, ServerProcess]) -> dict[str, int]:
    return {name: each.pid for name, each in processes.items()}


async def _run(bench: Bench, bodies: list[bytes], *, is_shown: bool) -> None:
    before = bench.measure()
    headers = {"X-Api-Key": bench.api_key, "Content-Type": "application/json"}
    limits = httpx.Timeout(120.0, read=QUIET_SECONDS)
    async with httpx.AsyncClient(
        base_url=bench.url, headers=headers, timeout=limits, trust_env=False
    ) as client:
        is_following = asyncio.Event()
        wanted = sum(len(json.loads(body)["tickets"]) for body in bodies)
        following = asyncio.create_task(_count_completed(client, wanted, is_following))
        await is_following.wait()
        started = time.perf_counter()
        for body in bodies:
            answer = await client.post("/api/tickets/upload", content=body)
            if answer.status_code != 200:
                raise SystemExit(f"{answer.status_code}: {answer.text[:500]}")
        accepted_seconds = time.perf_counter() - started
        await following
        analysed_seconds = time.perf_counter() - started
    if is_shown:
        _report(wanted, accepted_seconds, analysed_seconds, before, bench.measure())


async def _count_completed(
    client: httpx.AsyncClient, wanted: int, is_following: asyncio.Event
) -> None:
    """Until so many tickets are completed. A stream that is cut goes on behind its last event.

    Only the last events are parsed: the client shares the cores with what is measured.
    """
    last_id, seen = "", set[str]()
    while len(seen) < wanted:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with client.stream("GET", "/api/events?kind=ticket", headers=headers) as answer:
            answer.raise_for_status()
            is_following.set()
            rest = b""
            async for chunk in answer.aiter_bytes():
                *frames, rest = (rest + chunk).split(b"\n\n")
                for frame in frames:
                    if b"event: ticket.failed" in frame or b"event: ticket.cancelled" in frame:
                        raise SystemExit(frame.decode())
                    if b"event: ticket.completed" in frame:
                        fields = dict(line.split(": ", 1) for line in frame.decode().splitlines())
                        last_id = fields["id"]
                        seen.add(json.loads(fields["data"])["subject"])
                if len(seen) >= wanted:
                    return


def _measure(root: psutil.Process) -> Usage:
    cpu_seconds, rss_bytes = 0.0, 0
    for each in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            cpu_seconds += times.user + times.system
            rss_bytes += each.memory_info().rss
    return Usage(cpu_seconds, rss_bytes)


def _report(
    tickets: int,
    accepted_seconds: float,
    analysed_seconds: float,
    before: Mapping[str, Usage],
    after: Mapping[str, Usage],
) -> None:
    print(f"accepted  {tickets / accepted_seconds:6.0f} tickets/s   ({accepted_seconds:.1f} s)")
    print(f"analysed  {tickets / analysed_seconds:6.0f} tickets/s   ({analysed_seconds:.1f} s)")
    print("process      CPU per ticket     memory")
    for name, usage in after.items():
        cpu_ms = 1000 * (usage.cpu_seconds - before[name].cpu_seconds) / tickets
        grown_mib = (usage.rss_bytes - before[name].rss_bytes) / MIB
        print(f"{name:10} {cpu_ms:8.2f} ms   {usage.rss_bytes / MIB:8.0f} MiB ({grown_mib:+.0f})")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tickets", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--folder", type=pathlib.Path, help="default: that of temporary files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
