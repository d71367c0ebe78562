"""Who asks. One type for everybody who may, whether by API key or by a signed-in session."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from parlance.api.identity import scopes
from parlance.api.identity.scopes import READ_SCOPE_OF, Scope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in: the company, the scopes, and the name for the audit."""

    company_id: uuid.UUID
    company_slug: CompanySlug
    actor: str
    """As it stands in the audit: `key:<id>`."""
    scopes: frozenset[str]
    """As stored: a newer version may have granted some that are unknown here."""

    def has_scope(self, scope: Scope) -> bool:
        return scopes.includes(self.scopes, scope)

    def has_any(self, wanted: Iterable[Scope]) -> bool:
        return any(self.has_scope(scope) for scope in wanted)

    @property
    def readable_kinds(self) -> frozenset[Kind]:
        """The kinds of work that this principal may see."""
        return frozenset(kind for kind, scope in READ_SCOPE_OF.items() if self.has_scope(scope))


def format_key_actor(key_id: str) -> str:
    return f"key:{key_id}"
