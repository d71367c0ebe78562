"""A stretch of a text that may be personal data, and which one stays where several overlap."""

import bisect
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class PiiType(StrEnum):
    """In the order in which equally long ones go before each other."""

    CARD = "card"
    IBAN = "iban"
    EMAIL = "email"
    IP_ADDRESS = "ip_address"
    DATE_OF_BIRTH = "date_of_birth"
    PHONE = "phone"

    @property
    def tag(self) -> str:
        """What stands in its place in a redacted text."""
        return f"[{self.value.upper()}]"


_RANK = {type_: rank for rank, type_ in enumerate(PiiType)}


class Candidate(NamedTuple):
    """text[begin:end]. Ordered by place."""

    begin: int
    end: int
    type: PiiType


def resolve(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that stay, by place: the longest first, then by type."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: (c.begin - c.end, _RANK[c.type], c.begin)):
        place = bisect.bisect_left(kept, one)
        is_free = (place == 0 or kept[place - 1].end <= one.begin) and (
            place == len(kept) or one.end <= kept[place].begin
        )
        if is_free:
            kept.insert(place, one)
    return kept


def redact(text: str, found: Iterable[Candidate]) -> str:
    """The text with a tag in place of each; `found` ascending and apart."""
    parts: list[str] = []
    at = 0
    for one in found:
        parts += (text[at : one.begin], one.type.tag)
        at = one.end
    return "".join((*parts, text[at:]))
