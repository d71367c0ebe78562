"""Entity tags: which state of a thing an answer shows, and which states a client knows."""

import hashlib


def format_etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def parse_etags(if_none_match: str) -> frozenset[str]:
    """The tags that a client knows; a proxy may have marked them as weak."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return frozenset(tag for tag in tags if tag)
