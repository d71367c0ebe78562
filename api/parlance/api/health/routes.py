"""`/health/*`: for whoever runs the API. Metrics are on a port of their own (`asgi`)."""

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation
from parlance.api.health.checks import Readiness
from parlance.api.identity import guard

ReadinessIn = NamedDependency[SkipValidation[Readiness]]


class Health(msgspec.Struct, frozen=True):
    """`ok`, `degraded` (something optional is away), `failing` or `stopping`."""

    status: str
    parts: dict[str, str] = {}


@get(
    "/health/live",
    operation_id="healthLive",
    summary="Is the process alive",
    tags=["Health"],
    opt=guard.PUBLIC,
)
async def health_live() -> Health:
    """Answers as long as the event loop turns."""
    return Health("ok")


@get(
    "/health/startup",
    operation_id="healthStartup",
    summary="Has it started",
    tags=["Health"],
    opt=guard.PUBLIC,
)
async def health_startup() -> Health:
    """Answers once everything is opened."""
    return Health("ok")


@get(
    "/health/ready",
    operation_id="healthReady",
    summary="Can it work",
    tags=["Health"],
    opt=guard.PUBLIC,
    responses={
        503: ResponseSpec(Health, description="It cannot, or is stopping", generate_examples=False)
    },
)
async def health_ready(readiness: ReadinessIn) -> Response[Health]:
    """503 without Postgres or the object store, or while stopping; `degraded` without NATS or
    without a sandbox for reading audio."""
    report = await readiness.check()
    if report.is_stopping:
        status = "stopping"
    elif not report.is_ready:
        status = "failing"
    else:
        status = "ok" if set(report.optional.values()) == {"ok"} else "degraded"
    return Response(
        Health(status, {**report.required, **report.optional}),
        status_code=200 if report.is_ready else 503,
        headers={"Cache-Control": "no-store"},
    )
