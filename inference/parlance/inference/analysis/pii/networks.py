"""IP addresses."""

import ipaddress
import re
from collections.abc import Iterator

from parlance.inference.analysis.pii.candidates import Candidate, PiiType

_V4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\.?\w)")
# A match begins only where no letter, digit, colon or dot stands before, so a long row of them is
# looked at once.
_V6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f:]*[0-9])[0-9A-Fa-f:]{3,39}(?![\w:])")
_MIN_DOTS = 3
_MIN_COLONS = 2


def find_addresses(text: str) -> Iterator[Candidate]:
    """Those that may belong to somebody: not `127.0.0.1`, `::` and the like."""
    # To count is quicker than to search, and few texts have that many.
    matches = list(_V4.finditer(text)) if text.count(".") >= _MIN_DOTS else []
    if text.count(":") >= _MIN_COLONS:
        matches += _V6.finditer(text)
    for match in matches:
        if _is_somebodys(match.group()):
            yield Candidate(match.start(), match.end(), PiiType.IP_ADDRESS)


def _is_somebodys(content: str) -> bool:
    try:
        address = ipaddress.ip_address(content)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)
