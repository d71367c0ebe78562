"""What may be asked without a key is listed here, so that nothing becomes public by forgetting."""

from litestar.routes import HTTPRoute
from parlance.api import asgi
from parlance.api.identity.dependencies import SCOPE_OPTION
from parlance.api.identity.keys import Scope
from parlance.api.settings import read_settings

PUBLIC = {
    "/api/docs",
    "/api/limits",
    "/health/live",
    "/health/ready",
    "/health/startup",
    "/metrics",
}
PUBLIC_FOLDERS = ("/api/docs/", "/api/docs-static/")
"""The documentation and what its page loads."""
CHECKS_THE_KEY_ITSELF = {"/api/add-calls", "/api/addcallurl"}
"""Their key may be a field of the form: tests/integration/api_web has their refusals."""


def test_every_other_route_asks_for_a_key_with_a_scope() -> None:
    app = asgi.create_app(read_settings())
    unguarded = {
        route.path
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.handler_name != "options_handler"
        if not isinstance(handler.opt.get(SCOPE_OPTION), Scope)
        or "principal" not in handler.parsed_fn_signature.parameters
    }

    unexplained = unguarded - PUBLIC - CHECKS_THE_KEY_ITSELF
    assert [path for path in unexplained if not path.startswith(PUBLIC_FOLDERS)] == []
