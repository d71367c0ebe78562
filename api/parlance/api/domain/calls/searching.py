"""Search of calls: a call is found by a segment of its transcript that matches the whole query."""

import uuid
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from parlance.api.db import search as functions
from parlance.api.db import tables
from parlance.api.domain.search import highlights, queries
from parlance.api.domain.search.highlights import Text
from parlance.api.domain.search.pages import PageSearch, Searched
from parlance.api.domain.search.queries import Query
from sqlmodel import col

SEARCHED = Searched(
    id=col(tables.Call.id),
    company_id=col(tables.Call.company_id),
    texts=tables.SEGMENTS,
    search=functions.CALLS,
)


async def fetch_texts(
    search: PageSearch, query: Query, ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, list[Text]]:
    """The first segments of each call that match."""
    segment = tables.SEGMENTS.c
    some = (
        sa.select(segment.index, segment.text)
        .where(
            segment.company_id == search.company_id,
            segment.call_id == col(tables.Call.id),
            segment.search.op("@@")(queries.as_tsquery(query.exact)),
        )
        .order_by(segment.index)
        .limit(highlights.MAX_HIGHLIGHTS)
        .correlate(tables.Call)
        .lateral()
    )
    select = (
        sa.select(col(tables.Call.id), some.c.index, some.c.text)
        .join(some, sa.true())
        .where(col(tables.Call.company_id) == search.company_id, col(tables.Call.id).in_(ids))
        .order_by(col(tables.Call.id), some.c.index)
    )
    found: dict[uuid.UUID, list[Text]] = {}
    for id_, index, text in await search.session.execute(select):
        found.setdefault(id_, []).append(Text("segment", index, text))
    return found
