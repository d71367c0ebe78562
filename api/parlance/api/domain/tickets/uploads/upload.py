"""An upload: one request with tickets, as it was read. `reading` makes it, `accepting` stores
it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parlance.api.domain.tickets.input.requests import ParsedBody
from parlance.api.http.idempotency import Claim
from parlance.api.identity.principal import Principal
from parlance.contracts.calls import Priority


class Mode(StrEnum):
    """What to do with a ticket whose `external_id` is known with other content."""

    CREATE = "create"
    """Refuse it."""
    UPSERT = "upsert"
    """Replace the ticket."""
    APPEND = "append"
    """Add the messages that are new."""


@dataclass(frozen=True, slots=True)
class TicketUpload:
    """One request, as it was read."""

    principal: Principal
    body: ParsedBody
    mode: Mode
    claim: Claim | None
    now: datetime

    @property
    def lane(self) -> Priority:
        """Somebody waits for a single ticket; many are an import."""
        return Priority.STANDARD if self.body.is_many else Priority.INTERACTIVE
