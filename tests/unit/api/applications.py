"""The application as it is served, without any server behind it."""

from typing import Any

from litestar import Litestar
from parlance.api import asgi, wiring
from parlance.api.settings import read_settings
from parlance.api.wiring import Wired


class Nothing:
    """Stands for every adapter: it is held, and never used."""

    def __getattr__(self, name: str) -> Any:
        return self


def build_wired() -> Wired:
    nothing: Any = Nothing()
    return wiring.build_wired(
        read_settings(),
        database=nothing,
        objects=nothing,
        bus=nothing,
        cluster=nothing,
        hub=nothing,
        decoders=nothing,
    )


def build_app() -> Litestar:
    return asgi.create_app(read_settings().http, build_wired())
