"""The body of an upload: one ticket, many, or a pasted conversation, each checked by itself."""

from dataclasses import dataclass
from typing import Any

from parlance.api.db.tables import Json
from parlance.api.domain.tickets.input import bounds, parsing
from parlance.api.domain.tickets.input.parsing import ParsedTicket
from parlance.api.domain.tickets.input.times import Times
from parlance.api.http.errors import FieldError, Refused, refuse_field
from parlance.api.http.fields import check_unknown
from parlance.api.identity.guard import KEY_FIELD
from parlance.contracts.problems import Problem

ITEMS_FIELD = "tickets"

Item = ParsedTicket | Refused
"""One ticket, or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """What a request holds."""

    items: list[Item]
    is_many: bool
    warnings: list[Json]
    """About the request itself, beside those of its tickets."""


def parse_body(body: dict[str, Any], times: Times, *, strict: bool) -> ParsedBody:
    """Every ticket, in the order sent; a wrong one stops no other. The key is left out. Raises
    Refused for what is wrong with the request as a whole."""
    values = {name: value for name, value in body.items() if name != KEY_FIELD}
    if ITEMS_FIELD not in values:
        return ParsedBody([_parse_item(values, times, strict=strict)], False, [])
    raw_items = _read_items(values.pop(ITEMS_FIELD))
    warnings = _check_beside(values, strict=strict)
    items = [
        _parse_item(raw, times, strict=strict, pointer=f"/{ITEMS_FIELD}/{index}")
        for index, raw in enumerate(raw_items)
    ]
    return ParsedBody(_refuse_repeated(items), True, warnings)


def _parse_item(raw: object, times: Times, *, strict: bool, pointer: str = "") -> Item:
    try:
        return parsing.parse_ticket(raw, times, strict=strict, pointer=pointer)
    except Refused as refused:
        return refused


def _read_items(raw: object) -> list[Any]:
    if not isinstance(raw, list):
        raise refuse_field(Problem.VALIDATION_FAILED, ITEMS_FIELD, "must be an array")
    if not raw:
        raise refuse_field(Problem.ITEMS_REQUIRED, ITEMS_FIELD, "is empty")
    if len(raw) > bounds.MAX_ITEMS:
        raise Refused(
            Problem.TOO_MANY_ITEMS,
            f"A request may hold at most {bounds.MAX_ITEMS} tickets.",
            members={"max_items": bounds.MAX_ITEMS},
        )
    return raw


def _check_beside(values: dict[str, Any], *, strict: bool) -> list[Json]:
    """What stands beside the array. A conversation there would be lost silently."""
    for name in ("messages", "text"):
        if values.get(name) not in (None, []):
            detail = f"is given beside {ITEMS_FIELD}"
            raise refuse_field(Problem.CONVERSATION_AMBIGUOUS, name, detail)
    names = list(values)[: bounds.MAX_ITEM_ERRORS]
    return check_unknown(names, strict=strict, meaning=f"is unknown beside {ITEMS_FIELD}")


def _refuse_repeated(items: list[Item]) -> list[Item]:
    """The first ticket of an `external_id` counts, the further ones of the request do not."""
    first: dict[str, int] = {}
    found: list[Item] = []
    for index, item in enumerate(items):
        external_id = None if isinstance(item, Refused) else item.external_id
        seen_at = index if external_id is None else first.setdefault(external_id, index)
        found.append(item if seen_at == index else _build_repeated(index, seen_at))
    return found


def _build_repeated(index: int, first_index: int) -> Refused:
    problem, detail = Problem.DUPLICATE_IN_REQUEST, f"is that of ticket {first_index} too"
    pointer = f"/{ITEMS_FIELD}/{index}/external_id"
    return Refused(
        problem,
        f"The external_id {detail}.",
        errors=[FieldError(pointer, problem.code, detail)],
        members={"first_index": first_index},
    )
