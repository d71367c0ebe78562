"""The demo's manners: what it does with your file, your proxy and another demo.

The stack is a stand-in that refuses every upload, at which a demo ends; the end-to-end tests see to
the rest.
"""

import asyncio
import contextlib
import http.server
import json
import pathlib
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from devstack import demo, supervisor, waiting


class Api(http.server.ThreadingHTTPServer):
    """Keeps what is uploaded, and answers when it may."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uploads: list[bytes] = []
        self.may_answer = threading.Event()
        self.may_answer.set()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Api)
        self.server.uploads.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.may_answer.wait(60)
        self.send_response(422)
        self.end_headers()
        self.wfile.write(json.dumps({"success": False}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests read what the demo says."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.may_answer.set()
        server.shutdown()
        thread.join()


@pytest.fixture
async def place(tmp_path: pathlib.Path, api: Api) -> AsyncIterator[supervisor.Place]:
    """Where a stack is up."""
    made = supervisor.Place(tmp_path / ".local")
    made.local.mkdir()
    state = supervisor.State(
        url=f"http://127.0.0.1:{api.server_port}",
        api_key="key",
        admin_email="",
        admin_password="",
        admin_user_id="7",
        kubeconfig="",
        kubectl="/nowhere/kubectl",
        namespace="parlance",
        database_url="",
        pid=0,
    )
    serving = asyncio.create_task(supervisor.serve(made, contextlib.nullcontext(state)))
    await waiting.wait_until(lambda: supervisor.read_state(made), 5, "the stand-in is up")
    yield made
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _run_demo(place: supervisor.Place, audio: pathlib.Path) -> None:
    with pytest.raises(demo.DemoFailed, match="the upload was refused"):
        await demo.run(place, audio=audio, use_current_cluster=False)


@pytest.mark.parametrize("name", ["plain.mp3", "a b.mp3", "a,b;c.mp3", 'the "best" \\ call;.mp3'])
async def test_a_file_may_have_any_name(
    place: supervisor.Place, api: Api, tmp_path: pathlib.Path, name: str
) -> None:
    audio = tmp_path / name
    audio.write_bytes(b"the sound of it")

    await _run_demo(place, audio)

    assert b"the sound of it" in api.uploads[0]


async def test_what_is_shown_is_the_command_of_the_public_page(
    place: supervisor.Place,
    api: Api,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    audio = tmp_path / "call.mp3"
    audio.touch()

    await _run_demo(place, audio)

    assert (
        f"\n$ curl -sS -X POST -F api_key=$PARLANCE_API_KEY -F call=@{audio} "
        "-F customer_name=Acme Corp -F user_id=7 -F extension_id=EXT-456 -F order_id=ORD-789 "
        f"http://127.0.0.1:{api.server_port}/api/add-calls\n"
    ) in capsys.readouterr().out


async def test_a_proxy_is_not_asked_for_our_own_machine(
    place: supervisor.Place, api: Api, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = tmp_path / "call.mp3"
    audio.touch()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    await _run_demo(place, audio)

    assert len(api.uploads) == 1


async def test_a_file_that_is_not_there_is_noticed_before_anything_starts(
    tmp_path: pathlib.Path,
) -> None:
    place = supervisor.Place(tmp_path / ".local")

    with pytest.raises(demo.DemoFailed, match=r"there is no file .*typo\.mp3"):
        await demo.run(place, audio=tmp_path / "typo.mp3", use_current_cluster=False)

    assert not place.local.exists()


async def test_a_second_demo_says_that_it_waits_for_the_first(
    place: supervisor.Place,
    api: Api,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    audio = tmp_path / "call.mp3"
    audio.touch()
    api.may_answer.clear()
    first = asyncio.create_task(_run_demo(place, audio))
    await waiting.wait_until(lambda: api.uploads, 10, "the first has uploaded")
    second = asyncio.create_task(_run_demo(place, audio))
    await waiting.wait_until(
        lambda: "waiting for another `make demo`" in capsys.readouterr().err, 10, "it says so"
    )

    assert len(api.uploads) == 1
    api.may_answer.set()
    await asyncio.gather(first, second)
    assert len(api.uploads) == 2
