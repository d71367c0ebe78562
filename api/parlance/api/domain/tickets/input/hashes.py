"""`tickets.content_hash`: tells whether a ticket is uploaded again with the same content.

It is the hash of the last upload of the whole ticket. An appended message or a `PATCH` makes the
ticket differ from that upload, so the hash gets a mark then.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

_HASH_BYTES = 32
_MARK = b"+"


def hash_content(raw: Mapping[str, Any]) -> bytes:
    """SHA-256 of an upload, whatever the order of its members."""
    return hashlib.sha256(msgspec.json.encode(raw, order="sorted")).digest()


def mark_changed(stored: bytes) -> bytes:
    """The column of a ticket that is now different from its last upload."""
    return stored[:_HASH_BYTES] + _MARK


def is_stored(stored: bytes, sent: bytes) -> bool:
    """Whether the ticket is what this upload would make it."""
    return stored == sent


def was_sent(stored: bytes, sent: bytes) -> bool:
    """Whether this upload was the last one, even if the ticket was changed afterwards."""
    return stored[:_HASH_BYTES] == sent
