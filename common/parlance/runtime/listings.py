"""Long listings, a part at a time: for work that comes round every minute and must stay small."""

from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Rolling(Generic[_T]):
    """Goes through a listing a part at a time, and starts anew after its end or a fault."""

    def __init__(self, begin: Callable[[], AsyncIterator[_T]], part: int) -> None:
        self._begin = begin
        self._part = part
        self._listing: AsyncIterator[_T] | None = None

    async def next_part(self) -> list[_T]:
        listing = self._listing or self._begin()
        self._listing = None
        found = await _take(listing, self._part)
        if len(found) == self._part:
            self._listing = listing
        return found


async def _take(listing: AsyncIterator[_T], limit: int) -> list[_T]:
    found: list[_T] = []
    async for item in listing:
        found.append(item)
        if len(found) == limit:
            break
    return found
