"""Search of tickets: a ticket is found by the words of its subject and messages taken together."""

import uuid
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from parlance.api.db import search as functions
from parlance.api.db import tables
from parlance.api.domain.search.highlights import Text
from parlance.api.domain.search.pages import PageSearch, Searched
from parlance.api.domain.search.queries import Query
from sqlmodel import col

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""Of conversations that are read for the highlights of one page. Larger ones than usual leave the
rows behind them without highlights."""

SEARCHED = Searched(
    id=col(tables.Ticket.id),
    company_id=col(tables.Ticket.company_id),
    texts=tables.TICKET_CONTENTS,
    search=functions.TICKETS,
)


async def fetch_texts(
    search: PageSearch,
    query: Query,
    ids: Sequence[uuid.UUID],
    *,
    max_bytes: int = MAX_PAGE_BYTES,
) -> Mapping[uuid.UUID, list[Text]]:
    ticket, content = tables.Ticket, tables.TicketContent
    place = sa.func.array_position(
        sa.cast(sa.literal(list(ids)), sa.ARRAY(sa.Uuid)), col(ticket.id)
    )
    read_bytes = sa.func.sum(tables.TICKET_CONTENTS.c.message_bytes).over(order_by=place)
    sized = (
        sa.select(col(ticket.id).label("id"), col(ticket.subject), read_bytes.label("read_bytes"))
        .join(content, col(content.ticket_id) == col(ticket.id))
        .where(
            col(ticket.company_id) == search.company_id,
            col(content.company_id) == search.company_id,
            col(ticket.id).in_(ids),
        )
        .subquery()
    )
    select = (
        sa.select(sized.c.id, sized.c.subject, col(content.messages))
        .join(content, col(content.ticket_id) == sized.c.id)
        .where(sized.c.read_bytes <= max_bytes, col(content.company_id) == search.company_id)
    )
    rows = await search.session.execute(select)
    return {id_: _build_texts(subject, messages) for id_, subject, messages in rows}


def _build_texts(subject: str | None, messages: Sequence[tables.Json]) -> list[Text]:
    texts = [Text("subject", None, subject)] if subject else []
    for message in messages:
        texts.append(Text("message", int(str(message["index"])), str(message["text"])))
    return texts
