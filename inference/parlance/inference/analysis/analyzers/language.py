"""In which language a document is written; what the sender says of it goes before.

Runs first: the others ask it what they have before them. The model is that of py3langid, byte
patterns of 97 languages; reading it takes half a second.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from parlance.contracts.analysis.insights import DetectedLanguage
from parlance.contracts.calls import Role
from parlance.inference.analysis.analyzers.base import Findings, ForEverything, Shared
from parlance.inference.analysis.documents import Document

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_NO_LANGUAGE = "zxx"
"""ISO 639: no linguistic content."""
_UNKNOWN = DetectedLanguage(code="")


@dataclass(frozen=True, slots=True)
class LanguageOptions:
    """How much is looked at, and how sure the answer must be."""

    max_characters: int = 800
    """Confidence is above 0.99 from a hundred on; each costs half a microsecond."""
    max_unit_characters: int = 400
    """Of one message, so that a long paste does not decide for everybody."""
    min_confidence: float = 0.3
    """Below it the text does not tell: a word or two that several languages have."""


DEFAULT = LanguageOptions()


@functools.cache
def load_model() -> "LanguageIdentifier":
    # Here and not above: the worker, which imports this too, has no use for the model and numpy.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect_language(document: Document, options: LanguageOptions = DEFAULT) -> DetectedLanguage:
    """Of what people wrote; of the notes of bots and systems only where there is nothing else."""
    sample = _sample(document, options)
    if not any(map(str.isalpha, sample)):
        return _UNKNOWN
    code, confidence = load_model().classify(sample)
    if code == _NO_LANGUAGE or confidence < options.min_confidence:
        return _UNKNOWN
    return DetectedLanguage(code=code, confidence=round(confidence, 4))


def _sample(document: Document, options: LanguageOptions) -> str:
    people = [unit.text for unit in document.units if unit.role not in (Role.BOT, Role.SYSTEM)]
    texts = people if any(map(str.strip, people)) else [unit.text for unit in document.units]
    return " ".join(_cut(texts, options))


def _cut(texts: list[str], options: LanguageOptions) -> Iterator[str]:
    left = options.max_characters
    for content in texts:
        if left <= 0:
            return
        # Rows of spaces, as they stand in place of quoted replies, count as text for the model.
        words = content.split(None, options.max_unit_characters)
        piece = " ".join(words)[: min(left, options.max_unit_characters)]
        left -= len(piece)
        yield piece


class LanguageFindings(Findings):
    language: DetectedLanguage


@dataclass(frozen=True, slots=True)
class LanguageAnalyzer(ForEverything):
    """The language that is given, or the one that the text shows."""

    name: ClassVar[str] = "language"
    version: ClassVar[str] = "2"
    needs: ClassVar[tuple[str, ...]] = ()
    options: LanguageOptions = DEFAULT

    def load(self) -> None:
        load_model()

    def run(self, document: Document, shared: Shared) -> Findings:
        found = (
            DetectedLanguage(code=document.language)
            if document.language
            else detect_language(document, self.options)
        )
        shared.language = found.code
        return LanguageFindings(language=found)
