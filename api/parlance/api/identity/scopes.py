"""What a key may do: one closed list. An area adds its two scopes here with its first routes."""

from collections.abc import Iterable
from enum import StrEnum

from parlance.contracts.bus.subjects import Kind


class Scope(StrEnum):
    """`<kind>s:read` shows things of a kind, `<kind>s:write` makes, changes and removes them."""

    CALLS_WRITE = "calls:write"
    CALLS_READ = "calls:read"
    TICKETS_WRITE = "tickets:write"
    TICKETS_READ = "tickets:read"
    ADMIN = "admin"
    """Includes everything."""


READ_SCOPE_OF: dict[Kind, Scope] = {
    Kind.CALL: Scope.CALLS_READ,
    Kind.TICKET: Scope.TICKETS_READ,
}
"""Which scope shows things of a kind, and their events. Kinds that no area serves are absent."""


def includes(granted: Iterable[str], scope: Scope) -> bool:
    return scope in granted or Scope.ADMIN in granted
