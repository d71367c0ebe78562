"""A search from the text of `q` to the keys of a page and its highlights. Areas call it."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from litestar.params import QueryParameter
from parlance.api.domain.search import queries, terms
from parlance.api.domain.search.highlights import Highlight, Marker, Text
from parlance.api.domain.search.pages import PageSearch
from parlance.api.domain.search.queries import Query
from parlance.api.http import paging
from parlance.api.http.paging import Key, Page

QueryIn = Annotated[
    str | None,
    QueryParameter(
        max_length=terms.MAX_CHARACTERS,
        pattern=r"^[^\x00]*$",
        description="Full text search: all words; `or` between alternatives; quotes around words "
        "that stand side by side; `-` before what must not be there; `*` behind the beginning of a "
        "word. The page may be shorter than `limit` and have a next one all the same.",
    ),
]
"""The parameter `q` of a list. Blank is as good as absent."""

FetchTexts = Callable[
    [PageSearch, Query, Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, list[Text]]]
]
"""The texts of rows, in which highlights are looked for. May leave out some."""


@dataclass(frozen=True, slots=True)
class Found:
    """The keys of a page of hits, in order, and the highlights of each row that has some."""

    page: Page[Key]
    highlights: dict[uuid.UUID, list[Highlight]] = field(default_factory=dict)


async def find(search: PageSearch, text: str, cursor: str | None, fetch_texts: FetchTexts) -> Found:
    """Text without a word finds nothing. Raises Refused for a cursor that is none."""
    query = await queries.compile_query(search.session, text)
    if query.is_empty:
        if cursor is not None:
            paging.parse_cursor(cursor)
        return Found(Page([], None))
    page = await search.find(query, cursor)
    ids = [key.id for key in page.items]
    if not ids:
        return Found(page)
    marker = Marker(query)
    texts = await fetch_texts(search, query, ids)
    return Found(page, {id_: marker.mark(of_row) for id_, of_row in texts.items()})
