"""The events area, as `wiring` puts it together."""

from litestar import Router
from litestar.di import Provide
from parlance.api.events import routes
from parlance.api.events.hub import Hub
from parlance.api.events.routes import Streams
from parlance.api.http.areas import Area
from parlance.api.identity.guard import Gate


def build_area(hub: Hub, gate: Gate) -> Area:
    streams = Streams(hub, gate)
    return Area(
        Router(
            "/",
            route_handlers=[routes.follow_company],
            dependencies={"streams": Provide(lambda: streams, sync_to_thread=False)},
        )
    )
