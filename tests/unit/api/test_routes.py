"""Nobody may use a route unless it says so. What may be used without a key is listed here."""

import dataclasses

import pytest
from litestar import Router, get
from litestar.exceptions import ImproperlyConfiguredException
from litestar.routes import HTTPRoute
from litestar.testing import create_async_test_client
from parlance.api import asgi
from parlance.api.http import problems
from parlance.api.http.areas import Area
from parlance.api.identity import guard
from parlance.api.identity.guard import Access
from parlance.api.settings import read_settings

from tests.unit.api import applications

PUBLIC = {
    "/api/docs",
    "/api/limits",
    "/health/live",
    "/health/ready",
    "/health/startup",
}
PUBLIC_FOLDERS = ("/api/docs/", "/api/docs-static/")
"""The documentation and what its page loads."""
KEY_IN_BODY = {
    "/api/add-calls",
    "/api/addcallurl",
    "/api/tickets/upload",
    "/api/tickets/{ticket_id:str}",
}


def read_accesses() -> dict[tuple[str, str], Access | None]:
    return {
        (route.path, method): guard.read_access(handler)
        for route in applications.build_app().routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


def test_every_route_declares_its_access() -> None:
    assert [route for route, access in read_accesses().items() if access is None] == []


def test_only_what_is_listed_here_is_public() -> None:
    public = {path for (path, _), access in read_accesses().items() if access == Access()}
    listed = {path for path in public if path.startswith(PUBLIC_FOLDERS)} | PUBLIC

    assert public == listed


def test_only_routes_with_a_body_look_for_the_key_in_it() -> None:
    accesses = read_accesses().items()

    assert {path for (path, _), access in accesses if access and access.is_key_in_body} == (
        KEY_IN_BODY
    )


def test_an_application_with_a_route_that_forgets_its_access_does_not_start() -> None:
    @get("/api/forgotten")
    async def forgotten() -> str:
        return "a secret"

    wired = applications.build_wired()
    careless = Area(Router("/", route_handlers=[forgotten]))
    wired = dataclasses.replace(wired, areas=(*wired.areas, careless))

    with pytest.raises(ImproperlyConfiguredException, match="/api/forgotten"):
        asgi.create_app(read_settings().http, wired)


async def test_a_route_that_forgets_its_access_is_refused_even_if_it_is_served() -> None:
    @get("/api/forgotten")
    async def forgotten() -> str:
        return "a secret"

    async with create_async_test_client(
        [forgotten],
        guards=[applications.build_wired().gate.guard],
        exception_handlers=problems.build_handlers(),
    ) as client:
        response = await client.get("/api/forgotten", headers={"X-Api-Key": "pk_any"})

    assert response.status_code == 403
