"""`POST /api/tickets/upload`: how tickets come in over HTTP."""

from dataclasses import dataclass
from typing import Any, Self

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, SkipValidation
from parlance.api.db.session import Database
from parlance.api.domain.tickets.uploads import operations
from parlance.api.domain.tickets.uploads.accepting import Acceptor
from parlance.api.domain.tickets.uploads.answers import TicketAccepted
from parlance.api.domain.tickets.uploads.bodies import Bodies
from parlance.api.domain.tickets.uploads.reading import TicketReader
from parlance.api.domain.tickets.uploads.upload import Mode
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate
from parlance.api.identity.scopes import Scope
from parlance.api.outbox.relay import Relay
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store

UPLOAD_PATH = "/api/tickets/upload"


@dataclass(frozen=True, slots=True)
class TicketUploads:
    """What the route of this module uses: the dependency `ticket_uploads`."""

    reader: TicketReader
    acceptor: Acceptor

    @classmethod
    def build(
        cls,
        database: Database,
        store: Store,
        relay: Relay,
        clock: Clock,
        gate: Gate,
        bodies: Bodies | None = None,
    ) -> Self:
        reader = TicketReader(database, clock, gate, bodies or Bodies())
        return cls(reader, Acceptor(database, store, relay))


TicketUploadsIn = NamedDependency[SkipValidation[TicketUploads]]


@post(
    UPLOAD_PATH,
    operation_id="addTickets",
    summary="Upload tickets",
    description=operations.DESCRIPTION,
    operation_class=operations.AddTicketsOperation,
    status_code=201,
    tags=["Tickets"],
    opt=guard.needs(Scope.TICKETS_WRITE, is_key_in_body=True),
    # The reader counts, and allows more than other routes do.
    request_max_body_size=None,
    responses=operations.ANSWERS,
)
async def add_tickets(
    request: Request[Any, Any, Any],
    ticket_uploads: TicketUploadsIn,
    mode: FromQuery[Mode] = Mode.CREATE,
    strict: FromQuery[bool] = False,
) -> Response[TicketAccepted]:
    """One ticket, many, or a pasted conversation."""
    async with ticket_uploads.reader.open(request, mode, strict=strict) as upload:
        return await ticket_uploads.acceptor.accept(upload)
