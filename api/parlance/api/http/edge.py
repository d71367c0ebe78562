"""What every request meets before and after the framework: id, metrics, log line, a soft close.

A plain ASGI layer outside of Litestar, since Litestar's own middleware does not see requests that
match no route. Put in place by `asgi`.
"""

import asyncio
import re
import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from parlance.contracts import ids
from parlance.runtime import telemetry
from prometheus_client import Counter, Gauge, Histogram

_log = structlog.get_logger("parlance.api.access")
_REQUESTS = Counter("parlance_http_requests", "Requests.", ["method", "route", "status"])
_SECONDS = Histogram(
    "parlance_http_request_seconds", "Time until the response was complete.", ["method", "route"]
)
_RUNNING = Gauge("parlance_http_requests_running", "Requests being answered.")

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_UNMATCHED = "unmatched"
_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/health/startup"})

_CLIENT_GONE = 499
"""Noted when the client left before there was an answer."""

LINGER_SECONDS = 5.0
"""How long a refused upload is still read before the connection is closed. A close with unread
bytes resets the connection, and the client may lose the answer that says why."""


class Edge:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        with (
            structlog.contextvars.bound_contextvars(request_id=exchange.request_id),
            telemetry.continued_trace(exchange.traceparent),
        ):
            _RUNNING.inc()
            try:
                await self._app(scope, exchange.receive, exchange.send)
            finally:
                exchange.end()


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope: Any = scope
        self._receive = receive
        self._send = send
        self._started = time.monotonic()
        self._status = _CLIENT_GONE
        self._is_closing = False
        self._has_body_left = True
        self._has_asked = False
        self._has_ended = False
        headers = dict(scope["headers"])
        self._expects_continue = b"expect" in headers
        self.request_id = _read_request_id(headers)
        self._scope["state"]["request_id"] = self.request_id
        # A tracer of the deployer's own, which stands before us, has a span for it already.
        has_span = bool(telemetry.current_trace())
        self.traceparent = None if has_span else headers.get(b"traceparent", b"").decode("latin-1")

    async def receive(self) -> Any:
        self._has_asked = True
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._has_body_left = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = list(message.get("headers", []))
            headers.append((REQUEST_ID_HEADER.lower().encode(), self.request_id.encode()))
            self._is_closing = (b"connection", b"close") in [
                (name.lower(), value.lower()) for name, value in headers
            ]
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body" and self._should_linger(message):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # Here and not when the application returns: work that goes on in the background after
            # the answer is no time that the client waits.
            self.end()

    def _should_linger(self, message: Any) -> bool:
        # A client that still waits for "100 Continue" has sent nothing, and asking would invite it.
        is_silent = self._expects_continue and not self._has_asked
        is_last = not message.get("more_body", False)
        return is_last and self._is_closing and self._has_body_left and not is_silent

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self._has_body_left:
                    await self.receive()
        except TimeoutError:
            return

    def end(self) -> None:
        """The response is complete, or there will be none."""
        if not self._has_ended:
            self._has_ended = True
            _RUNNING.dec()
            self._report()

    def _report(self) -> None:
        seconds = time.monotonic() - self._started
        method, route = self._scope["method"], self._scope.get("path_template") or _UNMATCHED
        _REQUESTS.labels(method, route, str(self._status)).inc()
        _SECONDS.labels(method, route).observe(seconds)
        if route in _QUIET_ROUTES:
            return
        # The path only: a query may hold what a client should not have put there.
        _log.info(
            "request",
            method=method,
            path=self._scope["path"],
            status=self._status,
            milliseconds=round(seconds * 1000, 1),
        )


def _read_request_id(headers: dict[bytes, bytes]) -> str:
    """The client's own id, if it is one; else a new one."""
    given = headers.get(REQUEST_ID_HEADER.lower().encode(), b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else str(ids.new_uuid7())
