"""Addresses of ourselves, as clients see them."""

from collections.abc import Callable
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

BaseUrlIn = NamedDependency[SkipValidation[str]]
"""A handler's parameter `base_url`: where clients see the API."""


def build_base_url_provider(public_url: str | None) -> Callable[[Request[Any, Any, Any]], str]:
    """`public_url` where it is set; otherwise, what the request was sent to."""

    def provide_base_url(request: Request[Any, Any, Any]) -> str:
        return public_url or str(request.base_url)

    return provide_base_url
