"""The document of a ticket: the object that a worker reads.

Made from the row and the conversation, so it can be made again at any time: at an upload, for a new
analysis, and for a ticket whose document or job was lost.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from parlance.api.db import tables
from parlance.api.db.tables import Json
from parlance.contracts import ids, objects
from parlance.contracts.ids import CompanySlug, TicketId
from parlance.contracts.tickets import Message, TicketDocument
from parlance.runtime.store import Store

_LARGE_MESSAGES = 100
"""From here on a document is encoded in a thread: 2,000 messages take tens of milliseconds."""


def build_document(ticket: tables.Ticket, messages: Sequence[Json]) -> TicketDocument:
    """What the row's attempt has to analyse. `messages` as they stand in `ticket_contents`; what is
    kept there for clients only is left out."""
    return TicketDocument(
        ticket_id=str(ticket.id),
        attempt=ticket.attempt,
        language=ticket.language,
        subject=ticket.subject,
        status=ticket.status,
        messages=tuple(Message.model_validate(message) for message in messages),
        redact_pii=ticket.redact_pii,
    )


async def put_document(
    store: Store, company: CompanySlug, document: TicketDocument
) -> tuple[str, str]:
    """Returns key and SHA-256. The same document again is the same object. Raises
    StoreUnavailable."""
    if len(document.messages) < _LARGE_MESSAGES:
        data, sha256 = _encode(document)
    else:
        data, sha256 = await asyncio.to_thread(_encode, document)
    key = objects.format_ticket_document_key(company, parse_id(document), document.attempt, sha256)
    await store.put_bytes(key, data)
    return key, sha256


def parse_id(document: TicketDocument) -> TicketId:
    return ids.parse_ticket_id(document.ticket_id)


def _encode(document: TicketDocument) -> tuple[bytes, str]:
    data = document.model_dump_json(exclude_none=True).encode()
    return data, hashlib.sha256(data).hexdigest()
