"""An area: a part of the API with routes of its own, made by its `build_area`.

`build_area` gets the adapters that the area works with and binds them in as a dependency of the
area's router, so a handler names what it uses and nothing is looked up in the application.
"""

from dataclasses import dataclass

import msgspec
from litestar import Router


@dataclass(frozen=True, slots=True)
class Area:
    """What an area adds to the application."""

    router: Router
    limits: tuple[msgspec.Struct, ...] = ()
    """Limits that its clients can run into; `limits` publishes those of all areas together."""
    success_paths: tuple[str, ...] = ()
    """Routes whose clients read `success` only; their problems carry it too."""
