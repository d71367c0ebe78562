"""Addresses of mail, found outwards from each @ sign."""

import re
from collections.abc import Iterator

from parlance.inference.analysis.pii.candidates import Candidate, PiiType

_MAX_LOCAL = 64
_MAX_DOMAIN = 255
_LOCAL_BACKWARDS = re.compile(r"[\w.+%'-]+")
_DOMAIN = re.compile(r"[\w.-]+")
_MIN_TOP_LETTERS = 2


def find_emails(text: str) -> Iterator[Candidate]:
    at = text.find("@")
    while at >= 0:
        # Backwards in a window of fixed length: from the front, each letter of a long word would
        # begin a search.
        window = text[max(0, at - _MAX_LOCAL) : at][::-1]
        local = _LOCAL_BACKWARDS.match(window)
        domain = _DOMAIN.match(text, at + 1, at + 1 + _MAX_DOMAIN)
        if local and domain:
            length = _measure_domain(domain.group())
            name = local.group()[::-1].lstrip(".'-+%")
            if length and name and not name.endswith("."):
                yield Candidate(at - len(name), at + 1 + length, PiiType.EMAIL)
        at = text.find("@", at + 1)


def _measure_domain(run: str) -> int:
    """How much of the run is a domain; 0 for none. What follows its last dot may be the next
    sentence, so labels are taken from the front for as long as they fit."""
    labels = run.split(".")
    length = 0
    taken = 0
    for label in labels:
        if not label or label[0] == "-" or label[-1] == "-" or "_" in label:
            break
        taken += 1
        length += len(label) + 1
    while taken >= 2:
        top = labels[taken - 1]
        if len(top) >= _MIN_TOP_LETTERS and (top.isalpha() or top.startswith("xn--")):
            return length - 1
        taken -= 1
        length -= len(top) + 1
    return 0
