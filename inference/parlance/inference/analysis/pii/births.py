"""Dates of birth: a date alone tells nobody, so a word for birth must stand right before it."""

import re
from collections.abc import Iterator

from parlance.inference.analysis.pii.candidates import Candidate, PiiType

_CUE = re.compile(
    r"\b(?:born|dob|d\.o\.b|date of birth|birth ?date|birthday|geboren|geburtsdatum|"
    r"date de naissance|n[ée]e? le|fecha de nacimiento|nacid[oa])\b",
    re.IGNORECASE,
)
_WITHIN_CHARACTERS = 40
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|m[äa]r|mai|okt|dez|"
    r"janv|f[ée]vr|avr|juin|juil|ao[uû]t|d[ée]c|ene|abr|ago|dic)\w{0,8}\.?"
)
_DATE = re.compile(
    r"(?<!\d)(?:"
    r"(?:19|20)\d\d[./-][01]?\d[./-][0-3]?\d"
    r"|[0-3]?\d[./-][0-3]?\d[./-](?:(?:19|20)\d\d|\d\d)"
    rf"|[0-3]?\d(?:st|nd|rd|th|\.)? (?:of |de )?{_MONTH},? (?:de )?(?:19|20)\d\d"
    rf"|{_MONTH} [0-3]?\d(?:st|nd|rd|th)?,? (?:19|20)\d\d"
    r")(?!\d)",
    re.IGNORECASE,
)


_PART_OF_DATE = re.compile(r"\d[./-]\d|(?:19|20)\d\d")
"""Every date holds it, and it is quicker to look for than the words."""


def find_births(text: str) -> Iterator[Candidate]:
    if not _PART_OF_DATE.search(text):
        return
    for cue in _CUE.finditer(text):
        date = _DATE.search(text, cue.end(), cue.end() + _WITHIN_CHARACTERS)
        if date is not None:
            yield Candidate(date.start(), date.end(), PiiType.DATE_OF_BIRTH)
