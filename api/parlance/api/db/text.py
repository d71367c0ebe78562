"""Text that Postgres can hold: it refuses NUL, in text as in JSON."""

import re

_NUL_ESCAPE = rb"\u0000"
# An escape begins with an odd backslash: in `\\u0000` the backslash itself is escaped.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def drop_nul(json_data: bytes) -> bytes:
    """The JSON without the NUL characters in its texts. A model may emit one, and it means
    nothing; refusing the whole result would cost more."""
    return _NUL.sub(rb"\1", json_data) if _NUL_ESCAPE in json_data else json_data
