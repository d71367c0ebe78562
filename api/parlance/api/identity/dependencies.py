"""What handlers ask for by parameter name: `parts`, `principal`, `base_url`."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from parlance.api.identity import guard as access
from parlance.api.identity.keys import Principal, Scope
from parlance.api.wiring import Parts

# The framework would try to validate these; they are not data.
PartsIn = NamedDependency[SkipValidation[Parts]]
PrincipalIn = NamedDependency[SkipValidation[Principal]]
BaseUrlIn = NamedDependency[SkipValidation[str]]

SCOPE_OPTION = "scope"
"""Key of a route's `opt`: the scope that `principal` asks for."""


def provide_parts(request: Request[Any, Any, Any]) -> Parts:
    parts: Parts = request.app.state["parts"]
    return parts


async def provide_principal(request: Request[Any, Any, Any], parts: PartsIn) -> Principal:
    """Whoever the key in the headers belongs to. Raises Refused."""
    scope: Scope = request.route_handler.opt[SCOPE_OPTION]
    return await parts.gate.admit(access.read_key(request), scope)


def provide_base_url(request: Request[Any, Any, Any], parts: PartsIn) -> str:
    """Where clients see the API, for links."""
    return parts.settings.http.public_url or str(request.base_url)


def build_dependencies() -> dict[str, Provide]:
    return {
        "parts": Provide(provide_parts, sync_to_thread=False),
        "principal": Provide(provide_principal),
        "base_url": Provide(provide_base_url, sync_to_thread=False),
    }
