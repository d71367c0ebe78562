"""What is made of a ticket beside its row: the document for the workers, the text for search."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from parlance.api.db.tables import Json
from parlance.contracts import ids, objects
from parlance.contracts.bus.tickets import CARRIED_BYTES, Carried
from parlance.contracts.ids import CompanySlug
from parlance.contracts.tickets import Message
from parlance.runtime.store import Store

SEARCH_TEXT_BYTES = 192 * 1024
"""A tsvector holds 1 MiB at most. A word takes its bytes and up to 5 more, and what has hyphens or
looks like an address stands in it up to three times, so the text itself may be a fifth."""

_MESSAGE_FIELDS = tuple(Message.model_fields)


@dataclass(frozen=True, slots=True)
class Document:
    """A `contracts.tickets.TicketDocument` on its way to the workers."""

    carried: Carried
    """What the dispatch says of it."""
    data: bytes

    async def put(self, store: Store) -> None:
        """Into the store, if it is too large for the dispatch. Raises StoreUnavailable."""
        if self.carried.object_key is not None:
            await store.put_bytes(self.carried.object_key, self.data)

    async def delete(self, store: Store) -> None:
        """From the store, if it is there. Raises StoreUnavailable."""
        if self.carried.object_key is not None:
            await store.delete(self.carried.object_key)


class Described(Protocol):
    """A ticket: its row, or what is about to be one."""

    @property
    def id(self) -> uuid.UUID: ...

    @property
    def attempt(self) -> int: ...

    @property
    def language(self) -> str: ...

    @property
    def subject(self) -> str | None: ...

    @property
    def status(self) -> str | None: ...

    @property
    def redact_pii(self) -> bool: ...


def build_document(ticket: Described, company: CompanySlug, messages: Sequence[Json]) -> Document:
    """Encoded as the workers read it, without going through the model: a batch has ten thousands
    of messages. A test reads it with the model."""
    ticket_id = ids.TicketId(str(ticket.id))
    data = msgspec.json.encode(
        {
            "ticket_id": ticket_id,
            "attempt": ticket.attempt,
            "language": ticket.language,
            "subject": ticket.subject,
            "status": ticket.status,
            "messages": [{name: item[name] for name in _MESSAGE_FIELDS} for item in messages],
            "redact_pii": ticket.redact_pii,
        }
    )
    if len(data) <= CARRIED_BYTES:
        return Document(Carried(content=data.decode()), data)
    sha256 = hashlib.sha256(data).hexdigest()
    key = objects.format_ticket_document_key(company, ticket_id, ticket.attempt, sha256)
    return Document(Carried(object_key=key, sha256=sha256), data)


def build_search_text(subject: str | None, messages: Sequence[Json]) -> str:
    """What `ticket_contents.search` is made of."""
    text = "\n".join([subject or "", *(str(message["text"]) for message in messages)])
    if len(text) * 4 <= SEARCH_TEXT_BYTES:
        return text
    return text.encode()[:SEARCH_TEXT_BYTES].decode(errors="ignore")


def build_search_vector(text: Any) -> sa.ColumnElement[Any]:
    """The value of `ticket_contents.search`; `text` is a text or a parameter."""
    return sa.func.to_tsvector(sa.literal_column("'simple'::regconfig"), text)
