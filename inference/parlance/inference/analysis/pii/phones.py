"""Telephone numbers, as phonenumbers knows the numbering plans.

With a country code a number says what it is. Without one it is looked up in the countries of the
language, and must look like a telephone number: many order numbers have as many digits.
"""

import re
from collections.abc import Iterator

from parlance.inference.analysis.pii.candidates import Candidate, PiiType

_RUN = re.compile(r"[+(]?\d[\d ().\-/\u00a0]*")
"""One class and no way back, so linear."""
_SEPARATORS = " ().-/\u00a0"
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}(?!\d)")
_DIGITS = re.compile(r"\d")
_MIN_DIGITS = 7
_MAX_RUN_CHARACTERS = 60
"""A longer row of digits is a table, not a number."""
_GROUPED = re.compile(r"\d[ ().\-/\u00a0]+\d")
_CUE = re.compile(
    r"\b(?:phone|telephone|tel|call|mobile|cell|whatsapp|text|ring|reach|fax|number|telefon|handy|"
    r"mobil|rufnummer|t[ée]l[ée]phone|portable|tel[ée]fono|m[óo]vil)\b",
    re.IGNORECASE,
)
_CUE_CHARACTERS = 30
_REGIONS = {
    "en": ("US", "GB", "AU"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CH"),
    "es": ("ES", "MX"),
    "it": ("IT",),
    "nl": ("NL", "BE"),
    "pt": ("PT", "BR"),
    "pl": ("PL",),
    "sv": ("SE",),
    "da": ("DK",),
    "nb": ("NO",),
    "no": ("NO",),
    "fi": ("FI",),
    "cs": ("CZ",),
    "ja": ("JP",),
}
"""Countries whose numbers are written without a country code in texts of a language."""


def find_phones(text: str, language: str) -> Iterator[Candidate]:
    """`language`: its first part, such as `en`."""
    for run in _RUN.finditer(text):
        begin, content = run.start(), run.group().rstrip(_SEPARATORS)
        if len(content) > _MAX_RUN_CHARACTERS or len(_DIGITS.findall(content)) < _MIN_DIGITS:
            continue
        end = begin + len(content)
        if text[begin - 1 : begin].isalnum() or text[end : end + 1].isalpha():
            continue  # part of a longer word, such as an order number
        if _DATE.match(content):
            continue
        for first, last in _match(content, language, is_cued=_is_cued(text, begin)):
            yield Candidate(begin + first, begin + last, PiiType.PHONE)


def _is_cued(text: str, begin: int) -> bool:
    return _CUE.search(text, max(0, begin - _CUE_CHARACTERS), begin) is not None


def _match(content: str, language: str, *, is_cued: bool) -> Iterator[tuple[int, int]]:
    # Here and not above: the worker, which imports this too, has no use for the numbering plans.
    import phonenumbers

    is_international = content.startswith(("+", "(+"))
    if not is_international and not (is_cued or _GROUPED.search(content)):
        return
    regions = (None,) if is_international else _REGIONS.get(language, ())
    for region in regions:
        found = [
            (match.start, match.end)
            for match in phonenumbers.PhoneNumberMatcher(content, region, max_tries=10)
        ]
        if found:
            yield from found
            return


def load() -> None:
    """Read the numbering plans ahead."""
    list(_match("+44 20 7946 0958", "en", is_cued=True))
