"""Asking a server over HTTP whether it is ready, without an HTTP client library."""

import asyncio
import http.client
import ssl
import urllib.error
import urllib.request

PROBE_TIMEOUT_SECONDS = 2.0

# Loopback must not go through the proxy that the environment may name.
_direct = urllib.request.ProxyHandler({})


async def is_ok(url: str, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a GET of a loopback address answers 2xx."""
    return await fetch_status("GET", url, tls) in range(200, 300)


async def fetch_status(method: str, url: str, tls: ssl.SSLContext | None = None) -> int | None:
    """The status of a request without a body, or None if nobody answers."""
    return await asyncio.to_thread(_ask, method, url, tls)


def _ask(method: str, url: str, tls: ssl.SSLContext | None) -> int | None:
    handlers: list[urllib.request.BaseHandler] = [_direct]
    if tls is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(url, method=method)  # noqa: S310 - our own loopback address
    try:
        with opener.open(request, timeout=PROBE_TIMEOUT_SECONDS) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, http.client.HTTPException):
        return None
