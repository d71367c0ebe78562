"""Tables, one file per area. They never leave this component: wire schemas and messages are classes
of their own.

A table class does not validate what it is constructed with; parse input into a model first.
Every row belongs to one company, and row security (`db.row_security`, `db.session`) shows a session
the rows of its own company only. Ids are UUIDv7, so primary keys grow at the end of their index.

Callers write `tables.Call`. A new area adds a file here and its classes to the list below.
"""

from .audit import AuditEntry
from .base import Json, Table, utc_now
from .call import SEGMENTS, Call, CallInsights, CallSegment, CallSource
from .company import ApiKey, Company, User, UserRole
from .idempotency import IdempotencyKey
from .orphans import SuspectedOrphan
from .outbox import PRIORITY_RANK, Deletion, OutboxRow
from .ticket import TICKET_CONTENTS, TICKETS, Ticket, TicketContent, TicketInsights

__all__ = [
    "PRIORITY_RANK",
    "SEGMENTS",
    "TICKETS",
    "TICKET_CONTENTS",
    "ApiKey",
    "AuditEntry",
    "Call",
    "CallInsights",
    "CallSegment",
    "CallSource",
    "Company",
    "Deletion",
    "IdempotencyKey",
    "Json",
    "OutboxRow",
    "SuspectedOrphan",
    "Table",
    "Ticket",
    "TicketContent",
    "TicketInsights",
    "User",
    "UserRole",
    "utc_now",
]
