"""Asking a server over HTTP whether it is ready, without an HTTP client library."""

import asyncio
import ssl
import urllib.error
import urllib.request

PROBE_TIMEOUT_SECONDS = 2.0

# Loopback must not go through the proxy that the environment may name.
_direct = urllib.request.ProxyHandler({})


async def is_ok(url: str, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a GET of a loopback address answers 2xx."""
    return await fetch_status(url, tls) in range(200, 300)


async def fetch_status(url: str, tls: ssl.SSLContext | None = None) -> int | None:
    """The status of a GET, or None if nobody answers."""
    return await asyncio.to_thread(_fetch_status, url, tls)


def _fetch_status(url: str, tls: ssl.SSLContext | None) -> int | None:
    handlers: list[urllib.request.BaseHandler] = [_direct]
    if tls is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=PROBE_TIMEOUT_SECONDS) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None
