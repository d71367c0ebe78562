"""Logs, metrics and health of processes that serve no HTTP of their own.

Called once by `__main__`. Metric objects live beside the code that moves them; this module only
sets up and serves. The API has its own routes for the same things.
"""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from opentelemetry import context, propagate
from parlance.runtime import redaction
from parlance.runtime.settings import TelemetrySettings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

HealthCheck = Callable[[], Awaitable[Mapping[str, str]]]
"""Problems by part; an empty mapping means healthy."""

_HTTP_CLIENTS = ("httpx", "httpcore")
_MAX_REQUEST_BYTES = 8192
_REQUEST_DEADLINE_SECONDS = 5.0


def configure(settings: TelemetrySettings, *, service: str) -> None:
    """Send structlog and the standard library's logging to standard error, one line per entry."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Tracebacks come without local variables: keys, passwords and words of calls are among them.
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    if settings.log_format == "json":
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared.append(structlog.processors.ExceptionRenderer(transformer))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
                _redact,
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _HTTP_CLIENTS:
        # They log every address, and at DEBUG every header, whose paths may be secret as a whole.
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _redact(_: object, __: str, line: structlog.typing.EventDict) -> str:
    """The last processor: by now the entry is text."""
    return redaction.redact_addresses(str(line))


def current_trace() -> dict[str, str]:
    """W3C trace headers of the current span; empty without a tracer."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


@contextmanager
def continued_trace(traceparent: str | None) -> Iterator[None]:
    """Go on with a trace that began elsewhere: what is sent within carries its headers."""
    if not traceparent:
        yield
        return
    token = context.attach(propagate.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        context.detach(token)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the metrics and health server listens."""

    host: str
    port: int


@asynccontextmanager
async def serve_health(
    settings: TelemetrySettings,
    *,
    live: HealthCheck,
    ready: HealthCheck,
) -> AsyncIterator[Endpoint]:
    """Serve /metrics, /health/live and /health/ready until the context ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_DEADLINE_SECONDS):
                writer.write(await _answer(reader, live, ready))
                await writer.drain()
        except (TimeoutError, ConnectionError, EOFError, asyncio.LimitOverrunError):
            pass  # a probe that gave up in mid-request, or sends a head without an end
        finally:
            writer.close()

    server = await asyncio.start_server(
        serve, settings.metrics_host, settings.metrics_port, limit=_MAX_REQUEST_BYTES
    )
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield Endpoint(host=host, port=port)
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, live: HealthCheck, ready: HealthCheck) -> bytes:
    request = await reader.readuntil(b"\r\n\r\n")
    words = request.split(maxsplit=2)
    if len(words) < 2:
        return _response(400, "text/plain", b"not a request\n")
    path = words[1].split(b"?")[0]
    if path == b"/metrics":
        return _response(200, CONTENT_TYPE_LATEST, generate_latest())
    check = {b"/health/live": live, b"/health/ready": ready}.get(path)
    if check is None:
        return _response(404, "text/plain", b"not found\n")
    problems = dict(await check())
    body = json.dumps({"status": "failing" if problems else "ok", "problems": problems}).encode()
    return _response(503 if problems else 200, "application/json", body)


def _response(status: int, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
