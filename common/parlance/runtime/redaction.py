"""Leaves the secrets of addresses out of log lines: signed queries, user names and passwords.

Whole lines are treated, just before they are written, since an address may be anywhere in one: in
the message, in a field, in the text of a library's exception. Used by `runtime.telemetry`.
"""

import re

REMOVED = "[removed]"

# A line may be JSON, where a backslash starts an escape: `\u00e9` is part of an address, while a
# quotation mark or a line break (`\n`) ends it.
_WORD = re.compile(r'(?:[^\s"\\\x00-\x1f]|\\[^nrt])+')
_USER_INFO = re.compile(r'://[^\s/?#@"]+@')


def redact_addresses(line: str) -> str:
    """The line with `[removed]` for the query and the user information of every address in it."""
    if "?" in line:
        line = _WORD.sub(_redact_query, line)
    if "@" in line:
        line = _USER_INFO.sub(f"://{REMOVED}@", line)
    return line


def _redact_query(match: re.Match[str]) -> str:
    """Whatever follows the first question mark behind a slash. Libraries also tell addresses
    without their host ("Redirect location: '/call.wav?signature=...'")."""
    word = match[0]
    start = word.find("?", word.find("/")) if "/" in word else -1
    return word if start in (-1, len(word) - 1) else f"{word[: start + 1]}{REMOVED}"
