"""The statements of an upload, each one for all its tickets.

Order of locks: known tickets by `external_id`, then new ones by `external_id` (a parallel request
with the same one waits at its INSERT), then outbox rows. All requests keep it, so no two wait for
each other.
"""

import asyncio
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.tables import TICKET_CONTENTS, Json
from parlance.api.domain.tickets import contents, dispatching
from parlance.api.domain.tickets.contents import Document
from parlance.api.domain.tickets.uploads.changes import Change, Known, NewTicket, Outcome
from parlance.api.domain.tickets.uploads.upload import TicketUpload
from parlance.api.outbox import rows as outbox
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
from parlance.runtime import tasks
from parlance.runtime.store import Store
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

PARALLEL_PUTS = 32
STEP = 100
"""Rows that are encoded in one go: the loop serves others in between."""


async def lock_known(
    session: AsyncSession,
    company_id: uuid.UUID,
    external_ids: Collection[str],
    *,
    with_content: bool,
) -> dict[str, Known]:
    """The company's tickets with these ids, until the end of the transaction."""
    if not external_ids:
        return {}
    ticket = tables.Ticket
    query = (
        sa.select(ticket)
        .where(col(ticket.company_id) == company_id, col(ticket.external_id).in_(external_ids))
        .order_by(col(ticket.external_id))
        .with_for_update()
    )
    found = (await session.scalars(query)).all()
    stored: dict[uuid.UUID, tables.TicketContent] = {}
    if with_content and found:
        stored = await _fetch_contents(session, company_id, [row.id for row in found])
    return {row.external_id or "": Known(row, stored.get(row.id)) for row in found}


async def write_tickets(session: AsyncSession, found: Sequence[Change]) -> None:
    """The rows of new and changed tickets. Raises RowConflict, through the session, when somebody
    stored one of the new ones meanwhile."""
    created = [change.ticket for change in found if isinstance(change.ticket, NewTicket)]
    created.sort(key=lambda ticket: ticket.external_id or "")
    await session.flush()  # the changed ones
    for step in _cut(created):
        values = [ticket.build_values() for ticket in step]
        await session.execute(sa.insert(tables.Ticket), values)


async def write_rest(
    session: AsyncSession, store: Store, upload: TicketUpload, found: Sequence[Change]
) -> list[str]:
    """Conversations, documents, outbox and audit. Returns the keys of documents that are not
    needed any more."""
    if not found:
        return []
    await _write_contents(session, found)
    withdrawn = await _withdraw(session, upload.principal.company_id, found)
    for step in _cut(found):
        documents = await asyncio.to_thread(_build_documents, upload, step)
        await _put(store, [one for one in documents if one.carried.object_key is not None])
        await _note_work(session, upload, step, documents)
    return withdrawn


def _cut(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), STEP):
        yield items[first : first + STEP]


async def _fetch_contents(
    session: AsyncSession, company_id: uuid.UUID, ticket_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tables.TicketContent]:
    content = tables.TicketContent
    query = sa.select(content).where(
        col(content.company_id) == company_id, col(content.ticket_id).in_(ticket_ids)
    )
    return {row.ticket_id: row for row in (await session.scalars(query)).all()}


async def _write_contents(session: AsyncSession, found: Sequence[Change]) -> None:
    insert = pg.insert(TICKET_CONTENTS).values(
        search=contents.build_search_vector(sa.bindparam("words", type_=sa.Text))
    )
    names = ("messages", "raw_text", "search")
    statement = insert.on_conflict_do_update(
        index_elements=["ticket_id"], set_={name: insert.excluded[name] for name in names}
    )
    for step in _cut(found):
        await session.execute(statement, [_build_content(change) for change in step])


def _build_content(change: Change) -> dict[str, Any]:
    ticket = change.ticket
    return {
        "ticket_id": ticket.id,
        "company_id": ticket.company_id,
        "messages": change.messages,
        "raw_text": change.raw_text,
        "words": contents.build_search_text(ticket.subject, change.messages),
    }


async def _withdraw(
    session: AsyncSession, company_id: uuid.UUID, found: Sequence[Change]
) -> list[str]:
    """Take back the work on old content, and what was found in it. Returns the documents that no
    worker will be told of."""
    updated = [change.ticket.id for change in found if change.outcome is Outcome.UPDATED]
    if not updated:
        return []
    insights = tables.TicketInsights
    await session.execute(
        sa.delete(insights).where(
            col(insights.company_id) == company_id, col(insights.ticket_id).in_(updated)
        )
    )
    payloads = await outbox.withdraw_many(session, company_id, Kind.TICKET, updated)
    return [key for payload in payloads if (key := _find_object_key(payload)) is not None]


def _find_object_key(payload: Json) -> str | None:
    """Of the document of a `TicketDispatch`, also where the rest of it cannot be read: that must
    not keep its ticket from being replaced."""
    document = payload.get("document")
    key = document.get("object_key") if isinstance(document, dict) else None
    return key if isinstance(key, str) else None


def _build_documents(upload: TicketUpload, step: Sequence[Change]) -> list[Document]:
    company = upload.principal.company_slug
    return [contents.build_document(change.ticket, company, change.messages) for change in step]


async def _put(store: Store, documents: Sequence[Document]) -> None:
    """All at once but for a bound. Raises StoreUnavailable; what was put then stays, and is found
    by the janitor."""
    waiting = iter(documents)

    async def put_some() -> None:
        for document in waiting:
            await document.put(store)

    putting = [asyncio.ensure_future(put_some()) for _ in range(min(PARALLEL_PUTS, len(documents)))]
    try:
        await asyncio.gather(*putting)
    finally:
        await tasks.end(*putting)


async def _note_work(
    session: AsyncSession,
    upload: TicketUpload,
    step: Sequence[Change],
    documents: Sequence[Document],
) -> None:
    """Outbox and audit."""
    principal = upload.principal
    works = [
        dispatching.build_work(
            change.ticket, principal.company_slug, document.carried, at=upload.now
        )
        for change, document in zip(step, documents, strict=True)
    ]
    await outbox.add_many(session, principal.company_id, Kind.TICKET, works)
    await session.execute(sa.insert(tables.AuditEntry), [_build_audit(upload, c) for c in step])


def _build_audit(upload: TicketUpload, change: Change) -> dict[str, Any]:
    ticket = change.ticket
    return {
        "id": ids.new_uuid7(),
        "company_id": ticket.company_id,
        "at": tables.utc_now(),
        "actor": upload.principal.actor,
        "action": f"ticket.{change.outcome}",
        "subject": str(ticket.id),
        "detail": {"messages": ticket.message_count, "revision": ticket.revision},
    }
