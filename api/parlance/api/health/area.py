"""The health area, as `wiring` puts it together."""

from litestar import Router
from litestar.di import Provide
from parlance.api.health import routes
from parlance.api.health.checks import Readiness
from parlance.api.http import operations
from parlance.api.http.areas import Area


def build_area(readiness: Readiness) -> Area:
    return Area(
        Router(
            "/",
            route_handlers=[routes.health_live, routes.health_startup, routes.health_ready],
            security=operations.NO_KEY,
            dependencies={"readiness": Provide(lambda: readiness, sync_to_thread=False)},
        )
    )
