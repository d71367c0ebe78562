"""Identifiers: how each is made, formatted and parsed. Used by every process."""

import os
import re
import time
import uuid
from typing import NewType

CallId = NewType("CallId", str)
TicketId = NewType("TicketId", str)
CompanySlug = NewType("CompanySlug", str)

_SLUG = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_CALLJOB_PREFIX = "call-"


class InvalidId(ValueError):
    """The text is not an identifier of the wanted kind."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"not a {kind}: {text[:80]!r}")
        self.kind = kind


def new_uuid7() -> uuid.UUID:
    """A time-ordered UUID (RFC 9562 version 7): 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return uuid.UUID(int=value)


def new_call_id() -> CallId:
    return CallId(str(new_uuid7()))


def parse_call_id(text: str) -> CallId:
    """Canonical lower-case form of any UUID text. Raises InvalidId."""
    try:
        return CallId(str(uuid.UUID(text)))
    except ValueError as exc:
        raise InvalidId("call id", text) from exc


def parse_ticket_id(text: str) -> TicketId:
    """Canonical lower-case form of any UUID text. Raises InvalidId."""
    try:
        return TicketId(str(uuid.UUID(text)))
    except ValueError as exc:
        raise InvalidId("ticket id", text) from exc


def parse_company(text: str) -> CompanySlug:
    """A DNS label of at most 63 characters. Raises InvalidId."""
    if not _SLUG.fullmatch(text):
        raise InvalidId("company", text)
    return CompanySlug(text)


def format_calljob_name(call_id: CallId) -> str:
    return f"{_CALLJOB_PREFIX}{call_id}"


def parse_calljob_identity(name: str, uid: str) -> CallId:
    """The call that a CallJob stands for: named `call-<uuid>` by the API, otherwise its own uid."""
    if name.startswith(_CALLJOB_PREFIX):
        try:
            return parse_call_id(name.removeprefix(_CALLJOB_PREFIX))
        except InvalidId:
            pass
    return parse_call_id(uid)
