"""Numbers of payment cards and bank accounts: they carry check digits, so chance hits are rare."""

import re
from collections.abc import Iterator, Sequence

from parlance.inference.analysis.pii.candidates import Candidate, PiiType

# One class and no way back: linear on a megabyte of digits too.
_CARD_RUN = re.compile(r"(?<![+0-9])[0-9][0-9 \-]{11,}")
_GROUP = re.compile(r"[0-9]+")
_MIN_CARD_DIGITS = 13
_MAX_CARD_DIGITS = 19
_MIN_GROUP_DIGITS = 3
"""Cards are written in groups of three digits and more."""
_MAX_GROUPS = 7
_CARD_PREFIXES: tuple[tuple[int, int, int, frozenset[int]], ...] = (
    # digits of the prefix, from, to, lengths
    (1, 4, 4, frozenset((13, 16, 19))),  # Visa
    (2, 51, 55, frozenset((16,))),  # Mastercard
    (4, 2221, 2720, frozenset((16,))),  # Mastercard
    (2, 34, 34, frozenset((15,))),  # American Express
    (2, 37, 37, frozenset((15,))),  # American Express
    (4, 6011, 6011, frozenset((16, 19))),  # Discover
    (3, 644, 659, frozenset((16, 19))),  # Discover
    (3, 300, 305, frozenset((14,))),  # Diners
    (2, 36, 36, frozenset((14,))),  # Diners
    (2, 38, 39, frozenset((14,))),  # Diners
    (4, 3528, 3589, frozenset((16, 19))),  # JCB
    (2, 62, 62, frozenset((16, 17, 18, 19))),  # UnionPay
    (4, 5018, 5038, frozenset((13, 16, 18, 19))),  # Maestro
    (4, 6759, 6763, frozenset((13, 16, 18, 19))),  # Maestro
)
_IBAN_START = re.compile(r"(?<![^\W_])[A-Za-z]{2}[0-9]{2}")
_IBAN_LENGTHS = {
    pair[:2]: int(pair[2:])
    for pair in """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22
    DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21
    HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27
    MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24
    RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22
    VG24 XK20 YE30
    """.split()  # noqa: SIM905  (a list literal would be harder to read)
}
"""Letters and digits of an IBAN by country: the IBAN registry, release 99."""


def find_cards(text: str) -> Iterator[Candidate]:
    for run in _CARD_RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        yield from _find_in_groups(text, groups)


def _find_in_groups(text: str, groups: Sequence[tuple[int, int]]) -> Iterator[Candidate]:
    """Rows of groups, one space or hyphen apart, that are a card together."""
    for first in range(len(groups)):
        begin = groups[first][0]
        digits = ""
        last_end = begin
        for group_begin, group_end in groups[first : first + _MAX_GROUPS]:
            is_row = group_begin - last_end <= 1
            if not is_row or group_end - group_begin < _MIN_GROUP_DIGITS:
                break
            digits += text[group_begin : min(group_end, group_begin + _MAX_CARD_DIGITS + 1)]
            last_end = group_end
            if len(digits) > _MAX_CARD_DIGITS:
                break
            if len(digits) >= _MIN_CARD_DIGITS and is_card(digits):
                yield Candidate(begin, group_end, PiiType.CARD)


def is_card(digits: str) -> bool:
    """Prefix and length of a card network, and the check digit of Luhn."""
    is_issued = any(
        low <= int(digits[:size]) <= high and len(digits) in lengths
        for size, low, high, lengths in _CARD_PREFIXES
    )
    return is_issued and passes_luhn(digits)


def passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def find_ibans(text: str) -> Iterator[Candidate]:
    for start in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(start.group()[:2].upper())
        end = _take(text, start.start(), length) if length else None
        if end is not None and passes_mod_97(text[start.start() : end]):
            yield Candidate(start.start(), end, PiiType.IBAN)


def _take(text: str, begin: int, length: int) -> int | None:
    """Where so many letters and digits end, single spaces between them left out."""
    at, taken = begin, 0
    while taken < length:
        character = text[at : at + 1]
        if character.isascii() and character.isalnum():
            taken += 1
        elif character != " " or text[at - 1] == " ":
            return None
        at += 1
    return None if text[at : at + 1].isalnum() else at


def passes_mod_97(iban: str) -> bool:
    plain = iban.replace(" ", "").upper()
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1
