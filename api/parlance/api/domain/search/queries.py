"""A query as Postgres understands it: two conditions, and the words to mark.

`exact` is what was asked for. `candidate` lets more through and can be answered from the index
alone: the index does not know where words stand, so for a phrase Postgres reads each text that has
its words; and for the beginning of a word it reads the lists of all words that begin so, in every
company. Where both differ, a candidate is checked against `exact`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from parlance.api.domain.search import terms
from parlance.api.domain.search.terms import Alternative
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncSession

_Part = sa.ColumnElement[Any]

CONFIGURATION = "simple"
"""As the stored vectors are made: conversations come in many languages, so nothing is stemmed."""


@dataclass(frozen=True, slots=True)
class Query:
    """Compiled; the first two are texts of the type tsquery."""

    exact: str
    candidate: str
    words: tuple[str, ...]
    """To mark, as they are in the index."""
    prefixes: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.exact and (self.words or self.prefixes))

    @property
    def is_candidate_exact(self) -> bool:
        return self.exact == self.candidate


async def compile_query(session: AsyncSession, text: str) -> Query:
    """Never fails for a text without NUL."""
    alternatives = terms.parse(text)
    if not alternatives:
        return Query("", "", (), ())
    positive = [part for each in alternatives for part in (*each.words, *each.phrases)]
    statement = sa.select(
        sa.cast(_any(map(_build_exact, alternatives)), sa.Text),
        sa.cast(_any(map(_build_candidate, alternatives)), sa.Text),
        sa.func.tsvector_to_array(sa.func.to_tsvector(configuration(), " ".join(positive))),
    )
    exact, candidate, words = (await session.execute(statement)).one()
    prefixes = tuple(prefix.lower() for each in alternatives for prefix in each.prefixes)
    return Query(exact, candidate, tuple(words), prefixes)


def as_tsquery(text: str) -> _Part:
    """`text` of a `Query`, for a statement."""
    return sa.cast(sa.literal(text, sa.Text), pg.TSQUERY)


def _build_exact(each: Alternative) -> _Part:
    return _all([
        *_plain_if_any(each.words),
        *map(_begin, each.prefixes),
        *map(_phrase, each.phrases),
        *(_not(_plain(word)) for word in each.excluded_words),
        *(_not(_phrase(phrase)) for phrase in each.excluded_phrases),
    ])  # fmt: skip


def _build_candidate(each: Alternative) -> _Part:
    whole = [*each.words, *each.phrases]
    return _all([
        *(_plain_if_any(whole) or map(_begin, each.prefixes)),
        *(_not(_plain(word)) for word in each.excluded_words),
    ])  # fmt: skip


def _plain_if_any(texts: Sequence[str]) -> list[_Part]:
    return [_plain(" ".join(texts))] if texts else []


def _plain(text: str) -> _Part:
    return sa.func.plainto_tsquery(configuration(), text)


def _phrase(text: str) -> _Part:
    return sa.func.phraseto_tsquery(configuration(), text)


def _begin(prefix: str) -> _Part:
    # One word of letters and digits only (`terms`), so that it needs no quoting of its own.
    return sa.func.to_tsquery(configuration(), f"{prefix}:*")


def _not(part: _Part) -> _Part:
    return sa.func.tsquery_not(part)


def _all(parts: Iterable[_Part]) -> _Part:
    return _join(sa.func.tsquery_and, list(parts))


def _any(parts: Iterable[_Part]) -> _Part:
    return _join(sa.func.tsquery_or, list(parts))


def _join(function: Callable[..., _Part], parts: Sequence[_Part]) -> _Part:
    """In halves: SQLAlchemy compiles expressions recursively, and a chain would be too deep."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return function(_join(function, parts[:middle]), _join(function, parts[middle:]))


def configuration() -> sa.ColumnElement[str]:
    """As an argument of a function of Postgres."""
    return sa.cast(sa.literal_column(f"'{CONFIGURATION}'"), pg.REGCONFIG)
