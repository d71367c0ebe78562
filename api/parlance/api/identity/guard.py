"""Who may use a route. Nobody, unless the route says so.

Every handler declares its access in `opt`: `opt=needs(Scope.CALLS_READ)`, or `opt=PUBLIC` for what
anybody may ask. A handler that forgets it keeps the application from starting (`check_routes`).
`Gate` is the application's guard: it runs before anything of the request but its headers is read,
and leaves the principal in the request's state, where `principal: PrincipalIn` finds it.

A key stands in `X-Api-Key`, in `Authorization: Bearer`, or, on the routes that declare
`is_key_in_body`, in the field `api_key` of the body: then the handler asks `Gate.admit_by_field`.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import SkipValidation
from litestar.routes import HTTPRoute
from parlance.api.http.errors import Refused, refuse_field
from parlance.api.identity.keys import InvalidKey, KeyRing
from parlance.api.identity.principal import Principal
from parlance.api.identity.scopes import Scope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.problems import Problem
from parlance.runtime.errors import Retryable

# The framework would try to validate it; it is no data.
PrincipalIn = NamedDependency[SkipValidation[Principal]]

IsAdmitted = Callable[[], Awaitable[bool]]
"""Asks again whether somebody who was let in still may."""

_Connection = ASGIConnection[Any, Any, Any, Any]

KEY_FIELD = "api_key"
"""Where a body may hold the key."""

_OPTION = "access"
_STATE = "principal"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="parlance"'}
_QUERY_NAMES = ("api_key", "apikey", "key", "token", "access_token")


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of whoever uses it."""

    scopes: frozenset[Scope] = frozenset()
    """Any one of them is enough. None at all: the route is public."""
    is_key_in_body: bool = False
    """Without a key in the headers the handler looks for it in the body."""


PUBLIC = {_OPTION: Access()}
"""`opt` of a route that anybody may use."""


def needs(*scopes: Scope, is_key_in_body: bool = False) -> dict[str, Access]:
    """`opt` of a route for whoever has any one of these scopes."""
    if not scopes:
        raise ImproperlyConfiguredException("without a scope a route would be public")
    return {_OPTION: Access(frozenset(scopes), is_key_in_body)}


def read_access(handler: BaseRouteHandler) -> Access | None:
    """What a registered handler has declared. The framework's own OPTIONS tell methods only."""
    if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}:
        return Access()
    access = handler.opt.get(_OPTION)
    return access if isinstance(access, Access) else None


def check_routes(app: Litestar) -> None:
    """Raises ImproperlyConfiguredException for a route that declares no access."""
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in handlers:
            if read_access(handler) is None:
                raise ImproperlyConfiguredException(
                    f"{route.path}: {handler.handler_name} declares neither a scope nor PUBLIC"
                )


class Gate:
    """Lets in whoever has a valid key with a needed scope. One per process."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def guard(self, connection: _Connection, handler: BaseRouteHandler) -> None:
        """The application's guard. Raises Refused."""
        access = read_access(handler)
        if access is None:
            raise Refused(Problem.FORBIDDEN)
        if not access.scopes:
            return
        key = read_key(connection)
        if key is None and access.is_key_in_body:
            return
        connection.scope["state"][_STATE] = await self.admit(key, access)

    async def admit_by_field(
        self, request: Request[Any, Any, Any], field_key: str | None
    ) -> Principal:
        """Whoever a key in the body belongs to; the headers may hold none or the same one.

        Raises Refused.
        """
        header_key = read_key(request)
        if header_key and field_key and header_key != field_key:
            raise Refused(Problem.CONFLICTING_CREDENTIALS)
        known = find_principal(request)
        if known is not None:
            return known
        access = read_access(request.route_handler)
        assert access is not None, "the guard has let it pass"
        principal = await self.admit(field_key, access)
        request.scope["state"][_STATE] = principal
        return principal

    async def admit(self, key: str | None, access: Access) -> Principal:
        """Raises Refused: 401 for every kind of bad key alike, 403 for a missing scope."""
        try:
            principal = await self._keys.verify_key(key or "")
        except InvalidKey as exc:
            raise Refused(Problem.UNAUTHENTICATED, headers=_CHALLENGE) from exc
        if not principal.has_any(access.scopes):
            lacking = " or ".join(sorted(access.scopes))
            raise Refused(Problem.FORBIDDEN, f"The key lacks the scope {lacking}.")
        return principal

    def keep_asking(self, request: Request[Any, Any, Any], kinds: Collection[Kind]) -> IsAdmitted:
        """For an answer that shows these kinds for hours: meanwhile the key may be revoked, or
        lose the scope of one of them."""
        return self.build_question(read_key(request), kinds)

    def build_question(self, key: str | None, kinds: Collection[Kind]) -> IsAdmitted:
        async def is_admitted() -> bool:
            try:
                principal = await self._keys.verify_key(key or "")
            except InvalidKey:
                return False
            except Retryable:
                return True  # a database that is away says nothing about the key
            return principal.readable_kinds.issuperset(kinds)

        return is_admitted


def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    """The dependency `principal`: whoever the guard let in."""
    principal = find_principal(request)
    assert principal is not None, "only routes with a scope ask for it"
    return principal


def find_principal(request: Request[Any, Any, Any]) -> Principal | None:
    """None on public routes, and before the key in the body is read."""
    found = request.scope["state"].get(_STATE)
    return found if isinstance(found, Principal) else None


def read_key(connection: _Connection) -> str | None:
    """The key in the headers. Raises Refused for two different ones or for one in the query,
    where every proxy on the way would log it."""
    if any(name in connection.query_params for name in _QUERY_NAMES):
        raise Refused(Problem.KEY_IN_QUERY)
    headers = connection.headers
    found = {headers.get("X-Api-Key", "").strip(), _read_bearer(headers.get("Authorization", ""))}
    found.discard("")
    if len(found) > 1:
        raise Refused(Problem.CONFLICTING_CREDENTIALS)
    return found.pop() if found else None


def read_field_key(body: Mapping[str, Any]) -> str | None:
    """The key in a JSON body, for `Gate.admit_by_field`. Raises Refused."""
    key = body.get(KEY_FIELD)
    if key is not None and not isinstance(key, str):
        raise refuse_field(Problem.VALIDATION_FAILED, KEY_FIELD, "must be a text")
    return (key or "").strip() or None


def _read_bearer(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
