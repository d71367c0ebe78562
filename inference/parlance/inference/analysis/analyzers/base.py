"""What an analyser is: a name, a version, what it needs, its options, and a pure function from a
document (and what it needs) to fields of `Insights`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from parlance.contracts.analysis.insights import AnalyzerError
from parlance.contracts.values import Value
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.passages import Sentence


@dataclass(slots=True)
class Shared:
    """What analysers hand to those that need them; filled in the order of `profiles.plan_order`."""

    sentences: Sequence[Sentence] = ()
    language: str = ""
    """Of the document, found out where it was not given; `Document.language` says the same to all
    that run after it."""


class Findings(Value):
    """Fields of `Insights`: what one analyser contributes. The base contributes nothing."""


class Analyzer(Protocol):
    """One kind of insight. Its dataclass fields are its options, all of them hashable."""

    name: ClassVar[str]
    version: ClassVar[str]
    """Raised when the same document would give another result."""
    needs: ClassVar[tuple[str, ...]]
    """Names of the analysers whose part of `Shared` it reads."""

    def applies_to(self, document: Document) -> AnalyzerError | None:
        """None, or why it has nothing to say about this document."""
        ...

    def run(self, document: Document, shared: Shared) -> Findings:
        """CPU only, deterministic, in the analysis process."""
        ...


@runtime_checkable
class Loading(Protocol):
    """An analyser that reads a model or word lists, which takes a while."""

    def load(self) -> None:
        """Read them ahead, so that the first document does not wait."""
        ...


class ForEverything:
    """The part of an analyser that any document suits."""

    def applies_to(self, document: Document) -> AnalyzerError | None:
        return None


def check_language(document: Document, languages: Sequence[str]) -> AnalyzerError | None:
    """For analysers that know some languages only. A document without text suits every one."""
    language = document.language.partition("-")[0].lower()
    if language in languages or not document.units:
        return None
    return AnalyzerError.UNSUPPORTED_LANGUAGE
