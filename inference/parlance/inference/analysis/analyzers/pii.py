"""Personal data by rules: where it stands, and the texts without it if they are asked for. Pure.

The rules of each type are in `analysis.pii`. Looked for in what people see, quoted replies
included.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from parlance.contracts.analysis.insights import PiiFindings, PiiSpan
from parlance.inference.analysis.analyzers.base import Findings, ForEverything, Shared
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.pii import births, candidates, emails, networks, numbers, phones
from parlance.inference.analysis.pii.candidates import Candidate
from parlance.inference.analysis.pii.phones import Lookups

MAX_SPANS = 1000
"""Listed; all of them are counted and taken out."""
_HINT = re.compile(r"[@\d]")
"""A text without it holds nothing of what is looked for."""
_MIN_PHONE_DIGITS = 7
_DIGIT = re.compile(r"\d")


def find_pii(text: str, language: str = "", lookups: Lookups | None = None) -> list[Candidate]:
    """By place, none over another. `lookups`: those of the document, for telephone numbers."""
    if not _HINT.search(text):
        return []
    return candidates.resolve(_find_all(text, language, lookups))


def _find_all(text: str, language: str, lookups: Lookups | None) -> Iterator[Candidate]:
    yield from emails.find_emails(text)
    digits = len(_DIGIT.findall(text))
    if digits:
        yield from networks.find_addresses(text)
        yield from births.find_births(text)
    if digits >= _MIN_PHONE_DIGITS:
        taken = candidates.resolve([*numbers.find_cards(text), *numbers.find_ibans(text)])
        yield from taken
        yield from phones.find_phones(text, language, taken, lookups)


def search_document(document: Document, language: str) -> tuple[PiiFindings, dict[str, str]]:
    """What was found, and the redacted texts of units that hold any, by id."""
    counts: Counter[str] = Counter()
    spans: list[PiiSpan] = []
    redacted: dict[str, str] = {}
    lookups = Lookups()
    for unit in document.units:
        content = unit.full_text or unit.text
        found = find_pii(content, language, lookups)
        if not found:
            continue
        counts.update(one.type.value for one in found)
        spans += (
            PiiSpan(type=one.type, segment_id=unit.id, begin=one.begin, end=one.end)
            for one in found[: MAX_SPANS - len(spans)]
        )
        if document.redact_pii:
            redacted[unit.id] = candidates.redact(content, found)
    return PiiFindings(counts=dict(counts), spans=tuple(spans)), redacted


class PiiAnalyzerFindings(Findings):
    pii: PiiFindings
    redacted_texts: dict[str, str]


@dataclass(frozen=True, slots=True)
class PiiAnalyzer(ForEverything):
    """Emails, telephone numbers, cards, IBANs, IP addresses, dates of birth."""

    name: ClassVar[str] = "pii"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("language",)

    def load(self) -> None:
        phones.load()

    def run(self, document: Document, shared: Shared) -> Findings:
        language = document.language.partition("-")[0].lower()
        found, redacted = search_document(document, language)
        return PiiAnalyzerFindings(pii=found, redacted_texts=redacted)
