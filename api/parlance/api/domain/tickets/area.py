"""The tickets area, as `wiring` puts it together."""

from litestar import Router
from litestar.di import Provide
from parlance.api.db.session import Database
from parlance.api.domain.tickets import limits
from parlance.api.domain.tickets.routes import Tickets, TicketsController
from parlance.api.domain.tickets.uploads import routes as upload_routes
from parlance.api.domain.tickets.uploads.bodies import Bodies
from parlance.api.domain.tickets.uploads.routes import TicketUploads
from parlance.api.events.hub import Hub
from parlance.api.http.areas import Area
from parlance.api.identity.guard import Gate
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store


def build_area(
    *,
    database: Database,
    store: Store,
    hub: Hub,
    gate: Gate,
    relay: Relay,
    deleter: Deleter,
    clock: Clock,
) -> Area:
    """Tickets over HTTP: uploads, reading, following, changing, analysing again and deleting."""
    bodies = Bodies()
    uploads = TicketUploads.build(database, store, relay, clock, gate, bodies)
    tickets = Tickets(database, store, hub, gate, relay, deleter, clock, bodies)
    router = Router(
        "/",
        route_handlers=[TicketsController, upload_routes.add_tickets],
        dependencies={
            "tickets": Provide(lambda: tickets, sync_to_thread=False),
            "ticket_uploads": Provide(lambda: uploads, sync_to_thread=False),
        },
    )
    return Area(router, limits=(limits.build_limits(),), success_paths=(upload_routes.UPLOAD_PATH,))
