"""Small written conversations for the tests of this folder."""

from parlance.contracts.calls import Role
from parlance.inference.analysis.documents import Document, Unit

MINUTE = 60.0


def message(
    role: Role, content: str, minute: float | None = None, *, id_: str = "", author: str = ""
) -> Unit:
    """`minute`: of writing; None where the time is not known."""
    written_at = None if minute is None else 1_700_000_000 + minute * MINUTE
    return Unit(id_, author or role, role, 0.0, 0.0, content, written_at=written_at)


def build_ticket(*messages: Unit, language: str = "en", redact_pii: bool = False) -> Document:
    """Messages without an id are numbered from 0."""
    units = [unit._replace(id=unit.id or str(n)) for n, unit in enumerate(messages)]
    return Document(units, language, redact_pii=redact_pii)
