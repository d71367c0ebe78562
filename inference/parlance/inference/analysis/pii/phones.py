"""Telephone numbers, as phonenumbers knows the numbering plans.

With a country code a number says what it is. Without one it is looked up in the countries of the
language, and must look like a telephone number: many order numbers have as many digits.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parlance.inference.analysis.pii.candidates import Candidate, PiiType

_RUN = re.compile(r"[+(]?\d[\d ().\-/\u00a0]*")
"""One class and no way back, so linear."""
_SEPARATORS = " ().-/\u00a0"
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}(?!\d)")
_DIGITS = re.compile(r"\d")
_SLASH = re.compile(r"[ \u00a0]+/[ \u00a0]*|/[ \u00a0]+|/(?=\(?0)")
"""One that may stand between two numbers."""
_CHUNK = re.compile(r"[^ /\u00a0]+")
_MIN_DIGITS = 7
_MAX_DIGITS = 17
"""Fifteen, and the zeros that some people write before or behind a country code."""
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

MAX_LOOKUPS = 2000
"""Per document: a lookup takes up to half a millisecond, and all tickets of a worker share one
analysis process. A ticket that people wrote needs a few dozen."""


@dataclass(slots=True)
class Lookups:
    """How many stretches of a document may still be looked up in the numbering plans."""

    left: int = MAX_LOOKUPS

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class _Search:
    """What is the same for all numbers of one text."""

    text: str
    language: str
    lookups: Lookups

    def find_in(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Numbers in a stretch without other characters than digits and separators."""
        begin, end = self._strip(begin, end)
        if not self._may_hold_numbers(begin, end):
            return
        is_cued = _is_cued(self.text, begin)
        found = self._look_up(begin, end, is_cued=is_cued)
        yield from found
        at = begin
        for gap_end, behind in (*found, (end, end)):
            # A number beside a telephone number needs no other sign that it is one.
            yield from self._split(at, gap_end, is_cued=is_cued or bool(found))
            at = behind

    def _strip(self, begin: int, end: int) -> tuple[int, int]:
        """Without the dates at the front and the separators around."""
        content = self.text[begin:end].rstrip(_SEPARATORS)
        end = begin + len(content)
        while date := _DATE.match(content):
            content = content[date.end() :].lstrip(" .-/\u00a0")
        return end - len(content), end

    def _may_hold_numbers(self, begin: int, end: int) -> bool:
        is_size = end - begin <= _MAX_RUN_CHARACTERS and self._count(begin, end) >= _MIN_DIGITS
        before, after = self.text[begin - 1 : begin], self.text[end : end + 1]
        # Part of a longer word is for instance an order number. A plus behind a digit begins a
        # number all the same.
        is_tail = before.isalpha() or (before.isalnum() and self.text[begin : begin + 1] != "+")
        return is_size and not (is_tail or after.isalpha())

    def _split(self, begin: int, end: int, *, is_cued: bool) -> Iterator[tuple[int, int]]:
        """Numbers in a stretch that as a whole is none: several, one behind the other. Each begins
        where a number may begin, and goes as far as a number may go."""
        if self._count(begin, end) < _MIN_DIGITS:
            return
        starts = [at for at in self._iter_starts(begin, end) if at > begin]
        edges = [begin, *starts, end]
        first = 0
        while first < len(edges) - 1:
            for last in range(len(edges) - 1, first, -1):
                at, until = edges[first], edges[last]
                until = at + len(self.text[at:until].rstrip(_SEPARATORS))
                if not _MIN_DIGITS <= self._count(at, until) <= _MAX_DIGITS:
                    continue
                if found := self._look_up(at, until, is_cued=is_cued):
                    yield from found
                    first = last - 1
                    break
            first += 1

    def _iter_starts(self, begin: int, end: int) -> Iterator[int]:
        """Where a number may begin: at a bracket, a zero, or digits that are enough for one."""
        for chunk in _CHUNK.finditer(self.text, begin, end):
            content = chunk.group()
            is_area = content.startswith("(") or (content.startswith("0") and len(content) > 1)
            if is_area or self._count(*chunk.span()) >= _MIN_DIGITS:
                yield chunk.start()

    def _count(self, begin: int, end: int) -> int:
        return len(_DIGITS.findall(self.text, begin, end))

    def _look_up(self, begin: int, end: int, *, is_cued: bool) -> list[tuple[int, int]]:
        content = self.text[begin:end]
        is_international = content.startswith("+")
        if not is_international and not (is_cued or _GROUPED.search(content)):
            return []
        regions = (None,) if is_international else _REGIONS.get(self.language, ())
        if not regions or not self.lookups.take():
            return []
        return [(begin + first, begin + last) for first, last in _match(content, regions)]


def find_phones(
    text: str, language: str, taken: Sequence[Candidate] = (), lookups: Lookups | None = None
) -> Iterator[Candidate]:
    """`language`: its first part, such as `en`. `taken`: cards and the like, ascending and apart,
    between which numbers are looked for. `lookups`: those of the document."""
    search = _Search(text, language, lookups or Lookups())
    for begin, end in _iter_stretches(text, taken):
        for span in search.find_in(begin, end):
            yield Candidate(*span, PiiType.PHONE)


def _iter_stretches(text: str, taken: Sequence[Candidate]) -> Iterator[tuple[int, int]]:
    """Where numbers may stand: rows of digits and separators between what is taken."""
    at = 0
    for free_end, behind in (*((one.begin, one.end) for one in taken), (len(text), len(text))):
        for run in _RUN.finditer(text, at, free_end):
            yield from _cut_at_slashes(text, *run.span())
        at = behind


def _cut_at_slashes(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """A slash with digits enough for a number on both sides stands between two numbers; others are
    part of one, as in 030/123456."""
    ahead, behind = 0, len(_DIGITS.findall(text, begin, end))
    at = piece = begin
    for slash in _SLASH.finditer(text, begin, end):
        digits = len(_DIGITS.findall(text, at, slash.start()))
        ahead, behind, at = ahead + digits, behind - digits, slash.end()
        if ahead >= _MIN_DIGITS and behind >= _MIN_DIGITS:
            yield piece, slash.start()
            ahead, piece = 0, at
    yield piece, end


def _is_cued(text: str, begin: int) -> bool:
    return _CUE.search(text, max(0, begin - _CUE_CHARACTERS), begin) is not None


def _match(content: str, regions: Sequence[str | None]) -> list[tuple[int, int]]:
    """(begin, end) of the numbers by the first region whose plan has any."""
    # Here and not above: the worker, which imports this too, has no use for the numbering plans.
    import phonenumbers

    for region in regions:
        matches = phonenumbers.PhoneNumberMatcher(content, region, max_tries=10)
        if found := [(match.start, match.end) for match in matches]:
            return found
    return []


def load() -> None:
    """Read the numbering plans ahead."""
    _match("+44 20 7946 0958", (None,))
