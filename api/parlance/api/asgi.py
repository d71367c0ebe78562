"""The ASGI application and the server that runs it. Called by `__main__` and by tests.

Request by request: `edge` (id, metrics) > Litestar > the handlers of `domain.*.routes`, which use
the `Parts` that `wiring` opened > `problem_details` for whatever they raise.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog
import uvicorn
from litestar import Litestar
from parlance.api import wiring
from parlance.api.domain.calls.routes import CallsController
from parlance.api.domain.calls.uploads.routes import add_call_url, add_calls
from parlance.api.events.routes import follow_company
from parlance.api.health import routes as health
from parlance.api.health.checks import Readiness
from parlance.api.http import openapi
from parlance.api.http import problems as problem_details
from parlance.api.http.edge import Edge
from parlance.api.identity import dependencies
from parlance.api.settings import Settings
from parlance.api.wiring import Parts
from parlance.runtime import process as process_module
from parlance.runtime import telemetry
from parlance.runtime.process import Process

_log = structlog.get_logger(__name__)

_MAX_BODY_BYTES = 1 << 20
"""Of requests whose handler does not count for itself."""


def create_app(settings: Settings) -> Litestar:
    """The application. Its lifespan opens and closes everything it uses."""

    @contextlib.asynccontextmanager
    async def open_parts(app: Litestar) -> AsyncIterator[None]:
        async with wiring.open_parts(settings) as parts:
            app.state["parts"] = parts
            app.state["readiness"] = Readiness(parts)
            yield

    app = Litestar(
        route_handlers=[
            add_calls,
            add_call_url,
            CallsController,
            follow_company,
            health.health_live,
            health.health_ready,
            health.health_startup,
            health.metrics,
            health.get_limits,
            openapi.build_static_router(),
        ],
        dependencies=dependencies.build_dependencies(),
        exception_handlers=problem_details.build_handlers(),
        lifespan=[open_parts],
        openapi_config=openapi.build_config(),
        request_max_body_size=_MAX_BODY_BYTES,
        logging_config=None,
    )
    app.asgi_handler = Edge(app.asgi_handler)
    return app


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that answers."""

    host: str
    port: int
    parts: Parts


def serve(settings: Settings) -> int:
    """Serve until a stop signal; returns the exit code."""
    telemetry.configure(settings.telemetry, service="api")
    return process_module.run(lambda process: run(settings, process))


async def run(
    settings: Settings,
    process: Process,
    *,
    on_listening: Callable[[Listening], None] | None = None,
) -> None:
    """Serve until `process.stopping`, then let running requests end.

    The socket is bound first, so that port 0 works and the port is known; `on_listening` hears it
    once requests are answered.
    """
    app = create_app(settings)
    bound = _bind(settings)
    server = _Server(_build_config(app, settings))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(process.stopping.wait())
    try:
        await _wait_started(server, serving)
        host, port = bound.getsockname()[:2]
        listening = Listening(host, port, app.state["parts"])
        _log.info("listening", host=listening.host, port=listening.port)
        if on_listening is not None:
            on_listening(listening)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        listening.parts.stop()
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        bound.close()


class _Server(uvicorn.Server):
    """Signals belong to `runtime.process`."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as in the base class
        yield


def _build_config(app: Litestar, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,  # `edge` writes one line per request, with its id
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.http.drain_seconds)),
        proxy_headers=True,
    )


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http.http_host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((settings.http.http_host, settings.http.http_port))
    return bound


async def _wait_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """uvicorn says by an attribute only that it has started."""
    while not server.started:
        if serving.done():
            await serving
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.01)
