"""No secret of an address is logged: by the real configuration, in a process of its own."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

SECRET = "c2lnbmF0dXJl"
PREPARE = """
import asyncio, logging, sys
import structlog
from parlance.runtime import fetch, telemetry
from parlance.runtime.addresses import parse_allow_list
from parlance.runtime.settings import TelemetrySettings

url, level, log_format = sys.argv[1:]
telemetry.configure(TelemetrySettings(log_level=level, log_format=log_format), service="test")
log = structlog.get_logger("test")
"""


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends a client on to the same address with another query, and then gives bytes."""

    def do_GET(self) -> None:
        is_last = "again" in self.path
        self.send_response(200 if is_last else 302)
        self.send_header("Location", f"{self.path}&again=1")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abc")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/call.wav?X-Signature={SECRET}&part=1"
    server.shutdown()
    thread.join()
    server.server_close()


def run(program: str, *arguments: str) -> str:
    """What the program logs."""
    command = [sys.executable, "-c", PREPARE + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


FETCH = """
async def main():
    policy = fetch.FetchPolicy(max_bytes=100, allow=parse_allow_list(["127.0.0.1"]))
    async with fetch.Fetcher(policy).open_url(url) as fetched:
        assert [chunk async for chunk in fetched.chunks()] == [b"abc"]
    log.warning("fetched")

asyncio.run(main())
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_fetching_an_address_logs_nothing_of_it(url: str, level: str, log_format: str) -> None:
    logged = run(FETCH, url, level, log_format)

    assert "fetched" in logged
    assert "call.wav" not in logged
    assert SECRET not in logged


TELL = """
import httpx
try:
    httpx.get(url, follow_redirects=False).raise_for_status()
except httpx.HTTPStatusError:
    log.exception("structlog", address=url, nested={"addresses": [url]})
    logging.getLogger("library").exception("no answer from %s", url)
    logging.getLogger("library").warning(url)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_whoever_logs_an_address_its_secrets_are_left_out(url: str, log_format: str) -> None:
    """Also where it is in the text of an exception, of our own or of a library."""
    logged = run(TELL, url, "INFO", log_format)

    assert logged.count("call.wav") >= 5
    assert SECRET not in logged


def test_the_rest_of_a_line_stays_as_it_is() -> None:
    program = """
log.info("a?b=c", address=url, question="Really? Yes", path="C:\\\\dir", word="caf\\u00e9")
log.info("next")
"""
    url = "https://user:pass@pbx.example/a%20b.wav?key=caf\u00e9\\&x='y'#end"

    first, second = (json.loads(line) for line in run(program, url, "INFO", "json").splitlines())

    assert first["event"] == "a?b=c"
    assert first["address"] == "https://[removed]@pbx.example/a%20b.wav?[removed]"
    assert (first["question"], first["path"], first["word"]) == (
        "Really? Yes",
        "C:\\dir",
        "caf\u00e9",
    )
    assert second["event"] == "next"


def test_the_local_variables_of_a_fault_are_not_logged_for_people_either() -> None:
    program = """
def handle():
    password = "open " + "sesame"
    raise ValueError("wrong")
try:
    handle()
except ValueError:
    log.exception("failed")
"""
    logged = run(program, "", "INFO", "console")

    assert "ValueError" in logged
    assert "open sesame" not in logged
