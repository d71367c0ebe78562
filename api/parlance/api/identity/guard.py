"""Who asks, at the HTTP edge: where a key may stand, and what it may do.

A key stands in a form or JSON field `api_key` (the handler finds it there), in `X-Api-Key`, or in
`Authorization: Bearer`. Called by handlers and by the `principal` dependency of `asgi`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from parlance.api.http.errors import Refused
from parlance.api.identity.keys import InvalidKey, KeyRing, Principal, Scope
from parlance.contracts.problems import Problem
from parlance.runtime.errors import Retryable

IsAdmitted = Callable[[], Awaitable[bool]]
"""Asks again whether somebody who was let in still may."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="parlance"'}
_QUERY_NAMES = ("api_key", "apikey", "key", "token", "access_token")


def read_key(request: Request[Any, Any, Any]) -> str | None:
    """The key in the headers. Raises Refused for two different ones or for one in the query,
    where every proxy on the way would log it."""
    if any(name in request.query_params for name in _QUERY_NAMES):
        raise Refused(Problem.KEY_IN_QUERY)
    found = {request.headers.get("X-Api-Key", "").strip(), _read_bearer(request)} - {""}
    if len(found) > 1:
        raise Refused(Problem.CONFLICTING_CREDENTIALS)
    return found.pop() if found else None


def merge_keys(from_header: str | None, from_field: str | None) -> str | None:
    """The one key of a request. Raises Refused when header and field differ."""
    if from_header and from_field and from_header != from_field:
        raise Refused(Problem.CONFLICTING_CREDENTIALS)
    return from_header or from_field


class Gate:
    """Lets in whoever has a valid key with the needed scope."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def admit(self, key: str | None, scope: Scope) -> Principal:
        """Raises Refused: 401 for every kind of bad key alike, 403 for a missing scope."""
        try:
            principal = await self._keys.verify_key(key or "")
        except InvalidKey as exc:
            raise Refused(Problem.UNAUTHENTICATED, headers=_CHALLENGE) from exc
        if not principal.has_scope(scope):
            raise Refused(Problem.FORBIDDEN, f"The key lacks the scope {scope}.")
        return principal

    def keep_asking(self, key: str | None, scope: Scope) -> IsAdmitted:
        """For an answer that lasts for hours: the key may be revoked meanwhile."""

        async def is_admitted() -> bool:
            try:
                await self.admit(key, scope)
            except Refused:
                return False
            except Retryable:
                return True  # a database that is away says nothing about the key
            return True

        return is_admitted


def _read_bearer(request: Request[Any, Any, Any]) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
