"""One ticket of a request, checked: all that is wrong with it at once, or what is to be stored.

Pure, and slow enough for a thread when there are many. Called by `uploads`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parlance.api.db.tables import Json
from parlance.api.domain.tickets.input import bounds, conversations, hashes
from parlance.api.domain.tickets.input.conversations import Conversation
from parlance.api.domain.tickets.input.fields import (
    CUSTOMER_NAMES,
    MESSAGE_NAMES,
    TICKET_NAMES,
    TicketFields,
)
from parlance.api.domain.tickets.input.times import Times
from parlance.api.http.errors import FieldError, Refused
from parlance.api.http.fields import build_warning
from parlance.contracts.problems import Problem, WarningCode
from pydantic import ValidationError

_PROBLEM_OF = {problem.code: problem for problem in Problem}
_LIMIT_OF: dict[Problem, Json] = {
    Problem.TOO_MANY_MESSAGES: {"max_messages": bounds.MAX_MESSAGES},
    Problem.TEXT_TOO_LONG: {
        "max_message_bytes": bounds.MAX_MESSAGE_BYTES,
        "max_text_bytes": bounds.MAX_TEXT_BYTES,
    },
}
_DETAIL_OF = {"model_type": "must be an object", "missing": "is missing"}
_MAX_UNKNOWN = 20
"""Warnings of one ticket for fields that are unknown."""


@dataclass(frozen=True, slots=True)
class ParsedTicket:
    """A ticket that may be stored."""

    fields: TicketFields
    conversation: Conversation
    content_hash: bytes
    """Of what was sent; see `hashes`."""
    warnings: list[Json]

    @property
    def external_id(self) -> str | None:
        return self.fields.external_id


def parse_ticket(raw: object, times: Times, *, strict: bool, pointer: str = "") -> ParsedTicket:
    """`pointer` is where the ticket stands in the request. Raises Refused with every error."""
    if not isinstance(raw, dict):
        detail = "must be an object"
        raise build_refusal([FieldError(pointer, Problem.VALIDATION_FAILED.code, detail)])
    return _Reader(raw, times, pointer).read(strict=strict)


def check_size(
    messages: Iterable[Mapping[str, Any]], pointer: str = "", *, is_pasted: bool = False
) -> list[FieldError]:
    """What is too long in a conversation. In a pasted one the client sent `text` only, so that is
    what all errors point at."""
    errors, total, count = [], 0, 0
    place = f"{pointer}/text" if is_pasted else f"{pointer}/messages"
    for message in messages:
        count += 1
        size_bytes = _measure(message["text"])
        total += size_bytes
        if size_bytes > bounds.MAX_MESSAGE_BYTES:
            where = place if is_pasted else f"{place}/{message['index']}/text"
            errors.append(_build_size_error(where, bounds.MAX_MESSAGE_BYTES, " in a message"))
    if total > bounds.MAX_TEXT_BYTES:
        errors.append(_build_size_error(place, bounds.MAX_TEXT_BYTES))
    if count > bounds.MAX_MESSAGES:
        errors.append(_build_count_error(place))
    return list(dict.fromkeys(errors))


@dataclass(slots=True)
class _Reader:
    """One ticket while it is read."""

    raw: dict[str, Any]
    times: Times
    pointer: str
    errors: list[FieldError] = field(default_factory=list)
    warnings: list[Json] = field(default_factory=list)

    def read(self, *, strict: bool) -> ParsedTicket:
        self.times.is_zone_assumed = False
        self._check_names(strict=strict)
        self._check_conversation()
        fields = self._validate()
        conversation = self._converse(fields) if fields is not None and not self.errors else None
        if self.errors:
            raise build_refusal(self.errors)
        assert fields is not None and conversation is not None, "otherwise there are errors"
        self._note(fields, conversation)
        return ParsedTicket(fields, conversation, hashes.hash_content(self.raw), self.warnings)

    def _check_names(self, *, strict: bool) -> None:
        """Unknown fields: warnings, or errors when `strict`."""
        found = _find_unknown(self.raw)
        if strict:
            self.errors += [
                FieldError(f"{self.pointer}{where}/{name[:64]}", "unknown_field", "is unknown")
                for where, name in found
            ]
            return
        names = dict.fromkeys((_strip_number(where), name) for where, name in found)
        for where, name in list(names)[:_MAX_UNKNOWN]:
            place = f" of {where}" if where else ""
            detail = f"The field {name[:64]!r}{place} is unknown."
            self.warnings.append(build_warning(WarningCode.UNKNOWN_FIELD, detail))

    def _check_conversation(self) -> None:
        has_messages = self.raw.get("messages") not in (None, [])
        has_text = self.raw.get("text") is not None
        if has_messages and has_text:
            self._add("/text", Problem.CONVERSATION_AMBIGUOUS, "is given beside messages")
        elif not has_messages and not has_text:
            self._add("/messages", Problem.CONVERSATION_REQUIRED, "is missing")

    def _validate(self) -> TicketFields | None:
        values = self.raw
        messages = values.get("messages")
        if isinstance(messages, list) and len(messages) > bounds.MAX_MESSAGES:
            self.errors.append(_build_count_error(f"{self.pointer}/messages"))
            values = values | {"messages": None}
        try:
            return TicketFields.model_validate(values, context=self.times)
        except ValidationError as exc:
            self.errors += _read_errors(exc, self.pointer)
            return None

    def _converse(self, fields: TicketFields) -> Conversation | None:
        """None where what was sent is too long. It is measured before it is worked on and again
        afterwards, because the plain text of HTML can be longer than the HTML."""
        if fields.messages:
            where = "/messages"
            sizes = ({"index": i, "text": sent.text} for i, sent in enumerate(fields.messages))
            self.errors += check_size(sizes, self.pointer)
        else:
            where = "/text"
            if _measure(fields.text or "") > bounds.MAX_TEXT_BYTES:
                place = f"{self.pointer}{where}"
                self.errors.append(_build_size_error(place, bounds.MAX_TEXT_BYTES))
        if self.errors:
            return None
        conversation = _build_conversation(fields)
        if not conversations.has_words(conversation.messages):
            self._add(where, Problem.CONVERSATION_EMPTY, "holds no words")
        else:
            is_pasted = not fields.messages
            self.errors += check_size(conversation.messages, self.pointer, is_pasted=is_pasted)
        return conversation

    def _note(self, fields: TicketFields, conversation: Conversation) -> None:
        """Warnings about what was accepted all the same."""
        missing = sum(message.role is None for message in fields.messages or ())
        if missing:
            detail = f"{missing} of the messages have no role; it counts as unknown."
            self.warnings.append(build_warning(WarningCode.ROLE_MISSING, detail))
        if conversation.parse_confidence == 0:
            detail = "No speakers were found in the text; it is one message."
            self.warnings.append(build_warning(WarningCode.CONVERSATION_UNPARSED, detail))
        if not conversations.has_customer_side(conversation.messages):
            self.warnings.append(build_one_sided_warning())
        if self.times.is_zone_assumed:
            detail = f"Times without a zone were read as {self.times.zone.key}."
            self.warnings.append(build_warning(WarningCode.ZONE_ASSUMED, detail))

    def _add(self, where: str, problem: Problem, detail: str) -> None:
        self.errors.append(FieldError(f"{self.pointer}{where}", problem.code, detail))


def build_one_sided_warning() -> Json:
    detail = "No message is from the customer or from somebody whose role is unknown."
    return build_warning(WarningCode.NO_CUSTOMER_SIDE, detail)


def build_refusal(errors: list[FieldError]) -> Refused:
    """One ticket's; limits that it broke stand beside."""
    problem = build_problem(errors)
    detail = f"{errors[0].pointer} {errors[0].detail}." if len(errors) == 1 else ""
    return Refused(
        problem,
        detail.lstrip(),
        errors=errors[: bounds.MAX_ITEM_ERRORS],
        members=_LIMIT_OF.get(problem),
    )


def build_problem(errors: list[FieldError]) -> Problem:
    """One kind of error is the problem itself; several are fields that are wrong."""
    codes = {error.code for error in errors}
    if len(codes) == 1:
        return _PROBLEM_OF.get(codes.pop(), Problem.VALIDATION_FAILED)
    return Problem.VALIDATION_FAILED


def _build_conversation(fields: TicketFields) -> Conversation:
    if fields.messages:
        return conversations.build_sent(fields.messages)
    assert fields.text is not None, "one of the two is there"
    return conversations.build_pasted(fields.text)


def _find_unknown(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where, and the name."""
    found = [("", name) for name in raw if name not in TICKET_NAMES]
    customer = raw.get("customer")
    if isinstance(customer, dict):
        found += [("/customer", name) for name in customer if name not in CUSTOMER_NAMES]
    messages = raw.get("messages")
    items: list[object] = messages if isinstance(messages, list) else []
    for index, message in enumerate(items):
        if isinstance(message, dict) and not MESSAGE_NAMES.issuperset(message):
            where = f"/messages/{index}"
            found += [(where, name) for name in message if name not in MESSAGE_NAMES]
    return found


def _strip_number(where: str) -> str:
    """`messages` of `/messages/3`."""
    return where.split("/")[1] if where else ""


def _read_errors(exc: ValidationError, pointer: str) -> list[FieldError]:
    found = exc.errors(include_url=False, include_context=False, include_input=False)
    return [
        FieldError(
            "/".join((pointer, *map(str, item["loc"]))),
            _read_code(item["loc"], item["type"]),
            _DETAIL_OF.get(item["type"], item["msg"].removeprefix("Value error, ")),
        )
        for item in found[: bounds.MAX_ITEM_ERRORS]
    ]


def _read_code(where: tuple[int | str, ...], kind: str) -> str:
    return Problem.INVALID_ROLE.code if where[-1] == "role" else kind


def _measure(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _build_size_error(pointer: str, max_bytes: int, of_what: str = "") -> FieldError:
    detail = f"may have at most {max_bytes:,} bytes{of_what}"
    return FieldError(pointer, Problem.TEXT_TOO_LONG.code, detail)


def _build_count_error(pointer: str) -> FieldError:
    detail = f"may have at most {bounds.MAX_MESSAGES:,} messages"
    return FieldError(pointer, Problem.TOO_MANY_MESSAGES.code, detail)
