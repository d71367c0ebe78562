"""`make demo`: one real call through the whole of Parlance, told as it happens.

Uploads with the curl command of the public page, prints each segment when it arrives, then the
insights, one ticket and what kubectl shows. Succeeds only if the transcript is right.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from devstack import cache, errors, ports, stack, supervisor, testdata, wer
from devstack.api_client import ApiClient, Event

MAX_WORD_ERROR_RATE = 0.12
CALL_TIMEOUT_SECONDS = 900.0
TICKET_TIMEOUT_SECONDS = 60.0
TICKET = """\
Customer: Where is my refund? I was charged twice and this is really annoying.
Agent: I am sorry about that. The second payment was returned on Monday.
Customer: Great, I can see it now. Thank you for the quick help!
Agent: You are welcome. The ticket is resolved."""


class DemoFailed(errors.DevstackError):
    """The call did not go as promised."""


async def run(
    place: supervisor.Place, *, audio: pathlib.Path | None, use_current_cluster: bool
) -> None:
    """Tell the story. Raises DemoFailed."""
    if audio is not None and not audio.is_file():
        raise DemoFailed(f"AUDIO: there is no file {audio}")
    recording = None if audio else await testdata.fetch_two_cities()
    path = audio or recording.path  # type: ignore[union-attr] # one of the two is there
    # Two at once would take each other's folder away, or each other's call.
    waiting_for = "waiting for another `make demo` of this work tree to end"
    async with (
        cache.open_lock(place.local / "demo.lock", waiting_for),
        _open_any_stack(place, use_current_cluster=use_current_cluster) as state,
    ):
        async with ApiClient(state.url, state.api_key) as client:
            started = time.monotonic()
            call_id = await _upload(client, state, path)
            transcript = await _follow(client, call_id, started)
            await _show_insights(client, call_id)
            await _show_ticket(client)
        await _show_cluster(state)
    if recording is not None:
        _check_transcript(recording.text, transcript)


@contextlib.asynccontextmanager
async def _open_any_stack(
    place: supervisor.Place, *, use_current_cluster: bool
) -> AsyncIterator[supervisor.State]:
    """The stack of `make up` if it runs, else a fresh one that ends with the demo."""
    running = supervisor.read_state(place)
    if running is not None:
        _say("Using the stack that is up.")
        yield running
        return
    folder = place.local / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    options = stack.Options(use_current_cluster=use_current_cluster)
    started = time.monotonic()
    async with stack.open_stack(folder, options) as fresh:
        _say(f"Everything is up after {time.monotonic() - started:.0f} s: {fresh.url}")
        yield supervisor.describe(fresh)
        _say("Stopping everything.")


async def _upload(client: ApiClient, state: supervisor.State, path: pathlib.Path) -> str:
    """Send the file as the public page says; a call of an earlier demo gives way."""
    shown = _build_curl(state, path, key="$PARLANCE_API_KEY")
    _say("\n$ " + " ".join(shown))
    answer = await _run_curl(_build_curl(state, path, key=state.api_key))
    if answer.get("code") == "duplicate_call":
        _say("This file was uploaded before: deleting that call and uploading again.")
        await client.delete(f"/api/calls/{answer['existing_call_id']}")
        answer = await _run_curl(_build_curl(state, path, key=state.api_key))
    if not answer.get("success"):
        raise DemoFailed(f"the upload was refused: {answer}")
    _say(f"201: call {answer['call_id']}, {answer['duration_seconds']} s of audio\n")
    return str(answer["call_id"])


def _build_curl(state: supervisor.State, path: pathlib.Path, *, key: str) -> list[str]:
    return [
        "curl", "-sS", "-X", "POST",
        "-F", f"api_key={key}",
        "-F", f"call=@{_format_file(path)}",
        "-F", "customer_name=Acme Corp",
        "-F", f"user_id={state.admin_user_id}",
        "-F", "extension_id=EXT-456",
        "-F", "order_id=ORD-789",
        f"{state.url}/api/add-calls",
    ]  # fmt: skip


def _format_file(path: pathlib.Path) -> str:
    """For curl, which ends a plain name at a comma or a semicolon."""
    plain = str(path)
    if not re.search(r'[,;"\s]', plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _run_curl(argv: Sequence[str]) -> dict[str, Any]:
    # A proxy of the environment would look for the API on its own loopback. Not part of what is
    # shown, which is the command of the public page.
    program, *words = argv
    started = await asyncio.create_subprocess_exec(
        program, "--noproxy", ports.LOOPBACK, *words, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await started.communicate()
    if started.returncode != 0:
        raise DemoFailed(f"curl ended with {started.returncode}")
    return dict(json.loads(output))


async def _follow(client: ApiClient, call_id: str, started: float) -> str:
    """Print the events as they come; returns the transcript."""
    texts: list[str] = []
    early = 0
    async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
        async for event in client.follow(call_id):
            elapsed_seconds = time.monotonic() - started
            if event.type == "call.segment":
                texts += _print_segments(event, elapsed_seconds)
                early += 1
            elif event.type == "call.reset":
                _say(f"+{elapsed_seconds:6.2f} s  {event.type}: what was said so far is dropped")
                texts.clear()
            elif event.type in ("call.queued", "call.started", "call.transcribed"):
                _say(f"+{elapsed_seconds:6.2f} s  {event.type}")
            elif event.is_terminal:
                _say(f"+{elapsed_seconds:6.2f} s  {event.type}")
                _require_completed(event)
    if early < 2:
        _say("(The audio is so short that it came in one window.)")
    return " ".join(texts)


def _print_segments(event: Event, elapsed_seconds: float) -> list[str]:
    segments = event.data["data"]["segments"]
    for segment in segments:
        start, end = (_format_time(segment[f"{side}_seconds"]) for side in ("start", "end"))
        _say(
            f"+{elapsed_seconds:6.2f} s  [{start} - {end}] {segment['speaker']}: {segment['text']}"
        )
    return [segment["text"] for segment in segments]


def _require_completed(event: Event) -> None:
    if event.type != "call.completed":
        raise DemoFailed(f"the call ended with {event.type}: {event.data['data']}")


async def _show_insights(client: ApiClient, call_id: str) -> None:
    answer = await client.get(f"/api/calls/{call_id}/insights")
    insights = answer.json()
    _say("\nInsights")
    metrics = insights.get("metrics") or {}
    talk, silence = (metrics.get(f"{what}_seconds", 0.0) for what in ("talk", "silence"))
    _say(f"  talk {talk:.1f} s, silence {silence:.1f} s")
    for speaker in metrics.get("speakers", []):
        pace = speaker["words_per_minute"] or 0
        _say(f"  {speaker['speaker']}: {speaker['words']} words, {pace:.0f} a minute")
    sentiment = (insights.get("sentiment") or {}).get("overall")
    if sentiment:
        _say(f"  sentiment: {sentiment['label']} ({sentiment['score']:+.2f})")
    _say(
        "  keywords: " + ", ".join(keyword["text"] for keyword in insights.get("keywords", [])[:8])
    )
    summary = insights.get("summary")
    if summary:
        _say(f"  summary: {summary['text']}")


async def _show_ticket(client: ApiClient) -> None:
    """A conversation in text, as somebody would paste it."""
    _say("\nA ticket, pasted as text")
    _say("  " + TICKET.replace("\n", "\n  "))
    started = time.monotonic()
    answer = await client.post("/api/tickets/upload", {"text": TICKET})
    if answer.status_code != 201:
        raise DemoFailed(f"the ticket was refused: {answer.text}")
    path = f"/api/tickets/{answer.json()['ticket_id']}"
    async with asyncio.timeout(TICKET_TIMEOUT_SECONDS):
        ticket = (await client.get(path, wait=30)).json()
        while ticket["state"] in ("queued", "processing"):
            ticket = (await client.get(path, wait=30)).json()
    if ticket["state"] != "completed":
        raise DemoFailed(f"the ticket ended as {ticket['state']}: {ticket['error']}")
    _say(f"+{time.monotonic() - started:6.2f} s  ticket.completed")
    insights = ticket["insights"]
    speakers = insights["sentiment"]["speakers"]
    _say("  sentiment: " + ", ".join(f"{each['speaker']} {_tell(each)}" for each in speakers))
    _say("  keywords: " + ", ".join(keyword["text"] for keyword in insights["keywords"][:8]))
    _say(f"  questions: {insights['conversation']['questions']}")


def _tell(speaker: dict[str, Any]) -> str:
    overall = speaker["overall"]
    return f"{overall['label']} ({overall['score']:+.2f}, {speaker['trend']})"


async def _show_cluster(state: supervisor.State) -> None:
    _say(f"\n$ kubectl -n {state.namespace} get calljobs")
    # By the variable, because it may be a list of files, which --kubeconfig does not take.
    started = await asyncio.create_subprocess_exec(
        *(state.kubectl, "-n", state.namespace, "get", "calljobs"),
        env={**os.environ, "KUBECONFIG": state.kubeconfig},
    )
    if await started.wait() != 0:
        raise DemoFailed("kubectl failed")


def _check_transcript(reference: str, transcript: str) -> None:
    rate = wer.word_error_rate(reference, transcript)
    _say(f"\nWord error rate against the read text: {rate:.1%} (at most {MAX_WORD_ERROR_RATE:.0%})")
    if rate > MAX_WORD_ERROR_RATE:
        raise DemoFailed("the transcript is not right")


def _format_time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{rest:04.1f}"


def _say(text: str) -> None:
    print(text, flush=True)
    sys.stdout.flush()
