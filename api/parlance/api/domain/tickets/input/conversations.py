"""The messages of a ticket: from what was sent to what is stored, and their order.

A stored message is a plain object: the fields of `contracts.tickets.Message`, the client's `id`,
and `raw_text` where the text was HTML.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from parlance.api.db.tables import Json
from parlance.api.domain.tickets.input import bounds, markup, pasting, quoting
from parlance.api.domain.tickets.input.fields import MessageFields
from parlance.contracts.calls import Role


@dataclass(frozen=True, slots=True)
class Conversation:
    """Who said what."""

    messages: list[Json]
    """In the order of the conversation."""
    started_at: datetime | None
    """The earliest time of a message."""
    parse_confidence: float | None = None
    raw_text: str | None = None
    """A pasted conversation as it was sent."""


def build_sent(sent: Sequence[MessageFields]) -> Conversation:
    """Of messages that were sent one by one."""
    messages = [_build_message(index, message) for index, message in enumerate(sent)]
    times = [message.created_at for message in sent]
    known = [time for time in times if time is not None]
    return Conversation(order(messages, times), min(known) if known else None)


def build_pasted(text: str) -> Conversation:
    """Of one text that holds them all."""
    is_html = markup.is_html(text)
    plain = markup.parse_html(text, max_characters=bounds.MAX_TEXT_BYTES) if is_html else text
    pasted = pasting.parse_pasted(plain)
    messages = [
        _build(index, message.role, message.author, message.text)
        for index, message in enumerate(pasted.messages)
    ]
    return Conversation(messages, None, pasted.confidence, text)


def order(messages: Sequence[Json], times: Sequence[datetime | None]) -> list[Json]:
    """By time; what has none takes the time of the one before, and equal times stay as they are.
    Exports give several messages the same second, or none."""
    if not any(times):
        return list(messages)
    taken, last = [], datetime.min.replace(tzinfo=next(time for time in times if time).tzinfo)
    for time in times:
        last = time or last
        taken.append(last)
    # By position, so that the messages themselves are never compared.
    positions = sorted(range(len(messages)), key=taken.__getitem__)
    return [messages[position] for position in positions]


def read_times(messages: Iterable[Json]) -> list[datetime | None]:
    """Of stored messages."""
    texts = (message["created_at"] for message in messages)
    return [datetime.fromisoformat(text) if isinstance(text, str) else None for text in texts]


def has_words(messages: Iterable[Json]) -> bool:
    return any(str(message["text"]).strip() for message in messages)


def has_customer_side(messages: Iterable[Json]) -> bool:
    """Also where somebody unknown writes: it may be the customer."""
    return any(message["role"] in (Role.CUSTOMER, Role.UNKNOWN) for message in messages)


def _build_message(index: int, sent: MessageFields) -> Json:
    text = sent.text
    is_html = markup.is_html(text)
    plain = markup.parse_html(text, max_characters=bounds.MAX_MESSAGE_BYTES) if is_html else text
    message = _build(index, sent.role or Role.UNKNOWN, sent.author, plain)
    if sent.created_at is not None:
        message["created_at"] = sent.created_at.isoformat()
    if sent.id:
        message["id"] = sent.id
    if is_html:
        message["raw_text"] = text
    return message


def _build(index: int, role: Role, author: str | None, text: str) -> Json:
    return {
        "index": index,
        "role": role.value,
        "author": author or None,
        "text": text,
        "quoted": [list(span) for span in quoting.find_quoted(text)],
        "created_at": None,
    }
