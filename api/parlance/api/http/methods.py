"""OPTIONS: which methods a path has. The framework's own answer forgets those that were registered
before the last one of the same path."""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.routes import HTTPRoute


class Allowed:
    """The methods of each path, learnt from the application once it is complete."""

    def __init__(self) -> None:
        self._methods: dict[str, str] = {}

    def learn(self, app: Litestar) -> None:
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                self._methods[route.path_format] = ", ".join(sorted(route.methods))

    def answer_options(self, request: Request[Any, Any, Any]) -> Response[None] | None:
        """Called before each handler; None lets it go on."""
        allow = self._methods.get(request.scope["path_template"] or "")
        if request.method != "OPTIONS" or allow is None:
            return None
        return Response(None, status_code=204, headers={"Allow": allow})
