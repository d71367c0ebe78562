"""Limits of tickets that clients can run into, for `GET /api/limits`."""

import msgspec
from parlance.api.domain.tickets.input import bounds
from parlance.api.http import fields


class TicketUploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of one request and of each ticket in it."""

    max_body_bytes: int = bounds.MAX_BODY_BYTES
    max_unkeyed_body_bytes: int = bounds.MAX_UNKEYED_BODY_BYTES
    """Of a body with the key in it; longer ones may be answered 503 where there are many."""
    max_brackets: int = bounds.MAX_BRACKETS
    """Of `{` and `[` in a body, also in its texts."""
    max_commas: int = bounds.MAX_COMMAS
    max_unkeyed_brackets: int = bounds.MAX_UNKEYED_BRACKETS
    max_unkeyed_commas: int = bounds.MAX_UNKEYED_COMMAS
    max_items: int = bounds.MAX_ITEMS
    max_messages: int = bounds.MAX_MESSAGES
    max_message_bytes: int = bounds.MAX_MESSAGE_BYTES
    max_text_bytes: int = bounds.MAX_TEXT_BYTES
    max_subject_characters: int = bounds.MAX_SUBJECT_CHARACTERS
    max_tags: int = bounds.MAX_TAGS
    max_tag_characters: int = bounds.MAX_WORD_CHARACTERS
    max_metadata_bytes: int = fields.MAX_METADATA_BYTES


class TicketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Beside the limits of other areas."""

    tickets: TicketUploadLimits


def build_limits() -> TicketLimits:
    return TicketLimits(tickets=TicketUploadLimits())
