"""The ASGI application and the server that runs it. Called by `__main__` and by tests.

Request by request: `edge` (id, metrics) > Litestar > the guard of `identity` > the handlers of the
areas that `wiring` built > `http.problems` for whatever they raise.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog
import uvicorn
from litestar import Litestar
from litestar.di import Provide
from parlance.api import wiring
from parlance.api.http import limits, links, methods, openapi, problems
from parlance.api.http.edge import Edge
from parlance.api.http.multipart import FormLimits
from parlance.api.identity import guard
from parlance.api.settings import HttpSettings, Settings
from parlance.api.wiring import Wired
from parlance.runtime import process as process_module
from parlance.runtime import telemetry
from parlance.runtime.process import Process
from parlance.runtime.telemetry import Endpoint

_log = structlog.get_logger(__name__)

_MAX_BODY_BYTES = 1 << 20
"""Of requests whose handler does not count for itself."""


def create_app(settings: HttpSettings, wired: Wired) -> Litestar:
    """The application. Raises ImproperlyConfiguredException for a route without declared access."""
    areas = wired.areas
    shared_limits = limits.build_shared(FormLimits(settings.max_upload_bytes))
    groups = [shared_limits, *(group for area in areas for group in area.limits)]
    success_paths = {path for area in areas for path in area.success_paths}
    allowed = methods.Allowed()
    app = Litestar(
        route_handlers=[
            *(area.router for area in areas),
            limits.build_route(groups, guard.PUBLIC),
            openapi.build_static_router(guard.PUBLIC),
        ],
        guards=[wired.gate.guard],
        dependencies={
            "principal": Provide(guard.provide_principal, sync_to_thread=False),
            "base_url": Provide(
                links.build_base_url_provider(settings.public_url), sync_to_thread=False
            ),
        },
        before_request=allowed.answer_options,
        exception_handlers=problems.build_handlers(success_paths),
        openapi_config=openapi.build_config(guard.PUBLIC),
        request_max_body_size=_MAX_BODY_BYTES,
        logging_config=None,
    )
    allowed.learn(app)
    guard.check_routes(app)
    app.asgi_handler = Edge(app.asgi_handler)
    return app


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that answers."""

    host: str
    port: int
    metrics: Endpoint
    """Metrics and health on a port of their own, which is not for clients."""


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

    The socket is bound first, so that port 0 works and the port is known; `on_listening` is called
    once requests are answered.
    """
    async with contextlib.AsyncExitStack() as stack:
        bound = stack.enter_context(contextlib.closing(_bind(settings.http)))
        wired = await stack.enter_async_context(wiring.open_wired(settings))
        metrics = await stack.enter_async_context(
            telemetry.serve_health(
                settings.telemetry, live=_find_no_problems, ready=wired.readiness.find_problems
            )
        )
        host, port = bound.getsockname()[:2]
        listening = Listening(host, port, metrics)
        app = create_app(settings.http, wired)
        await _serve(app, settings.http, bound, process, wired, listening, on_listening)


async def _find_no_problems() -> dict[str, str]:
    """Alive as long as the event loop turns."""
    return {}


async def _serve(
    app: Litestar,
    settings: HttpSettings,
    bound: socket.socket,
    process: Process,
    wired: Wired,
    listening: Listening,
    on_listening: Callable[[Listening], None] | None,
) -> None:
    server = _Server(_build_config(app, settings))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(process.stopping.wait())
    try:
        await _wait_started(server, serving)
        metrics_port = listening.metrics.port
        _log.info("listening", host=listening.host, port=listening.port, metrics_port=metrics_port)
        if on_listening is not None:
            on_listening(listening)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        wired.stop()
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()


class _Server(uvicorn.Server):
    """Signals belong to `runtime.process`."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as in the base class
        yield


def _build_config(app: Litestar, settings: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,  # `edge` writes one line per request, with its id
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        proxy_headers=True,
    )


def _bind(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((settings.http_host, settings.http_port))
    return bound


async def _wait_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """uvicorn says by an attribute only that it has started."""
    while not server.started:
        if serving.done():
            await serving
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.01)
