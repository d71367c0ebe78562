"""Lists in pages, by keyset: a page costs the same however far one has paged. For every list.

The key of a row is a moment and an id. The cursor that a client brings back is the key of the last
row it has; only this module reads and writes it.
"""

import base64
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar, TypeVarTuple

import msgspec
import sqlalchemy as sa
from litestar.params import QueryParameter
from parlance.api.http import fields
from parlance.api.http.errors import Refused, refuse_field
from parlance.contracts.problems import Problem

MAX_PAGE_ITEMS = 200
DEFAULT_PAGE_ITEMS = 50

LimitIn = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE_ITEMS)]
CursorIn = Annotated[str | None, QueryParameter(max_length=256)]

_Row = TypeVar("_Row")
_Columns = TypeVarTuple("_Columns")


class Key(msgspec.Struct, frozen=True, array_like=True):
    """Where a row stands in its list."""

    at: datetime
    id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Order:
    """The columns of the key, and which end of the list comes first."""

    moment: sa.SQLColumnExpression[datetime]
    id: sa.SQLColumnExpression[uuid.UUID]
    is_oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """`next_cursor` is None on the last one."""

    items: list[_Row]
    next_cursor: str | None


def narrow(
    query: sa.Select[*_Columns], order: Order, *, limit: int, cursor: str | None
) -> sa.Select[*_Columns]:
    """The rows behind the cursor, in order, and one more than the page takes: it tells
    `build_page` whether there is a next one. Raises Refused."""
    key = sa.tuple_(order.moment, order.id)
    if cursor is not None:
        last = parse_cursor(cursor)
        edge = sa.tuple_(sa.literal(last.at), sa.literal(last.id))
        query = query.where(key > edge if order.is_oldest_first else key < edge)
    direction = sa.asc if order.is_oldest_first else sa.desc
    return query.order_by(direction(order.moment), direction(order.id)).limit(limit + 1)


def build_page(found: Sequence[_Row], limit: int, key_of: Callable[[_Row], Key]) -> Page[_Row]:
    """The page that rows of `narrow` make."""
    items = list(found[:limit])
    if len(found) <= limit:
        return Page(items, None)
    return Page(items, format_cursor(key_of(items[-1])))


def format_cursor(key: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def parse_cursor(text: str) -> Key:
    """Raises Refused for anything this module did not make."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        key = msgspec.json.decode(data, type=Key)
        fields.check_moment(key.at)
    except (ValueError, msgspec.MsgspecError) as exc:
        raise _refuse_cursor() from exc
    if key.at.tzinfo is None:
        raise _refuse_cursor()
    return key


def _refuse_cursor() -> Refused:
    return refuse_field(Problem.VALIDATION_FAILED, "cursor", "is no cursor of this list")
