"""Fetching an address that a client named, without lending the client our place in the network.

Every hop is parsed once, resolved once, every answer checked, and the connection made to the
checked address, so that a second DNS answer cannot change it. Called by the API for `audio_url`,
which answers with the statuses below, and by the worker for the `uri` of a job.

    FetchError                problem; one uniform text, so that no answer maps our network
    ├── AddressNotAllowed     422 url_not_allowed
    ├── UpstreamRefused       422 audio_fetch_failed: an answer that is not the file
    ├── UpstreamFailed        502 upstream_failed: no answer, or one of 5xx
    │   └── NameUnknown       there is no such name
    ├── UpstreamTimeout       504 upstream_timeout
    └── UpstreamTooLarge      413 too_large
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from parlance.contracts.problems import Problem
from parlance.runtime import addresses
from parlance.runtime.addresses import Address, AllowList
from parlance.runtime.lookups import Lookups

MAX_URL_CHARACTERS = 2048
_PORTS = {"http": 80, "https": 443}
_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "Accept": "audio/*, video/*;q=0.9, */*;q=0.5",
    # A compressed body would let a few bytes fill the store; audio gains nothing from it.
    "Accept-Encoding": "identity",
    "User-Agent": "parlance",
}

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class FetchError(Exception):
    """The address did not give a file, and why."""

    problem = Problem.AUDIO_FETCH_FAILED

    def __init__(self) -> None:
        super().__init__(self.problem.title)


class AddressNotAllowed(FetchError):
    problem = Problem.URL_NOT_ALLOWED


class UpstreamRefused(FetchError):
    problem = Problem.AUDIO_FETCH_FAILED

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class UpstreamFailed(FetchError):
    problem = Problem.UPSTREAM_FAILED


class NameUnknown(UpstreamFailed):
    """No address has this name. The API answers as for one that is not allowed: the difference
    would tell which names exist inside our network."""


class UpstreamTimeout(FetchError):
    problem = Problem.UPSTREAM_TIMEOUT


class UpstreamTooLarge(FetchError):
    problem = Problem.TOO_LARGE

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes = max_bytes


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Bounds of one fetch."""

    max_bytes: int
    allow: AllowList = field(default_factory=AllowList)
    total_seconds: float = 120.0
    connect_seconds: float = 10.0
    idle_seconds: float = 20.0
    """Longest silence of the other side."""
    max_redirects: int = 5


class Fetched:
    """An open answer. The body is read once, by `chunks`."""

    def __init__(self, response: httpx.Response, policy: FetchPolicy, deadline: float) -> None:
        self.media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        """What the server says it is. Only good for messages."""
        self._response = response
        self._policy = policy
        self._deadline = deadline

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises FetchError, also in the middle."""
        received_bytes = 0
        with _translated():
            async for chunk in self._response.aiter_raw():
                received_bytes += len(chunk)
                if received_bytes > self._policy.max_bytes:
                    raise UpstreamTooLarge(self._policy.max_bytes)
                if time.monotonic() > self._deadline:
                    raise UpstreamTimeout
                yield chunk


class Fetcher:
    """Keeps the TLS context, which is expensive to build; SSL_CERT_FILE adds a trust store."""

    def __init__(self, policy: FetchPolicy, *, resolve: Resolver | None = None) -> None:
        self._policy = policy
        self._resolve = resolve or Lookups().find
        self._tls = httpx.create_ssl_context()

    @asynccontextmanager
    async def open_url(self, url: str) -> AsyncIterator[Fetched]:
        """Follow `url` to a file. Raises FetchError."""
        deadline = time.monotonic() + self._policy.total_seconds
        async with self._build_client() as client:
            response = await self._follow(client, parse_url(url), deadline)
            try:
                yield Fetched(response, self._policy, deadline)
            finally:
                await response.aclose()

    def _build_client(self) -> httpx.AsyncClient:
        """No proxies from the environment, no cookies kept, no connection used twice: the pool
        tells connections apart by address, and two names may share one."""
        policy = self._policy
        return httpx.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=httpx.Timeout(policy.idle_seconds, connect=policy.connect_seconds),
        )

    async def _follow(
        self, client: httpx.AsyncClient, url: httpx.URL, deadline: float
    ) -> httpx.Response:
        redirects = 0
        while True:
            if time.monotonic() > deadline:
                raise UpstreamTimeout
            response = await self._request(client, url, deadline)
            if response.status_code not in _REDIRECTS:
                return await self._accept(response)
            await response.aclose()
            redirects += 1
            if redirects > self._policy.max_redirects:
                raise UpstreamRefused(response.status_code)
            url = parse_url(_join(url, response.headers.get("Location", "")))

    async def _accept(self, response: httpx.Response) -> httpx.Response:
        """The answer, if it is a file of an allowed size."""
        try:
            if response.status_code >= 500:
                raise UpstreamFailed
            if response.status_code != 200:
                raise UpstreamRefused(response.status_code)
            length = response.headers.get("Content-Length", "0")
            if length.isdigit() and int(length) > self._policy.max_bytes:
                raise UpstreamTooLarge(self._policy.max_bytes)
        except FetchError:
            await response.aclose()
            raise
        return response

    async def _request(
        self, client: httpx.AsyncClient, url: httpx.URL, deadline: float
    ) -> httpx.Response:
        """One hop: to a checked address, with the name in Host and in the TLS handshake."""
        with _translated():
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                for address in await self._find_addresses(url):
                    request = client.build_request(
                        "GET",
                        url.copy_with(host=str(address)),
                        headers={**_HEADERS, "Host": url.netloc.decode("ascii")},
                        extensions={"sni_hostname": url.raw_host.decode("ascii")},
                    )
                    try:
                        return await client.send(request, stream=True)
                    except (httpx.ConnectError, httpx.ConnectTimeout):
                        continue  # the next address of the same name, all of them are checked
                raise UpstreamFailed

    async def _find_addresses(self, url: httpx.URL) -> Sequence[Address]:
        """All addresses of the host. One that is not allowed refuses all: a mixed answer is how
        a name is turned against us."""
        name = url.raw_host.decode("ascii").lower().rstrip(".")
        allow, is_listed = self._policy.allow, self._policy.allow.has_name(name)
        if not is_listed and addresses.is_private_name(name):
            raise AddressNotAllowed
        port = url.port or _PORTS[url.scheme]
        try:
            found = [ipaddress.ip_address(text) for text in await self._resolve(name, port)]
        except socket.gaierror as exc:
            if exc.errno in _NO_SUCH_NAME:
                raise NameUnknown from exc
            raise
        are_listed = is_listed or all(allow.has_address(address) for address in found)
        if not are_listed and port not in _PORTS.values():
            raise AddressNotAllowed
        for address in found:
            if not (is_listed or allow.has_address(address) or addresses.is_public(address)):
                raise AddressNotAllowed
        return found


def parse_url(url: str) -> httpx.URL:
    """An absolute http or https address without credentials. Raises AddressNotAllowed."""
    if len(url) > MAX_URL_CHARACTERS or any(char <= " " or char in "\\\x7f" for char in url):
        raise AddressNotAllowed
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host
    except (httpx.InvalidURL, UnicodeError, ValueError) as exc:
        raise AddressNotAllowed from exc
    if parsed.scheme not in _PORTS or not host or parsed.userinfo:
        raise AddressNotAllowed
    if parsed.port is not None and not 1 <= parsed.port <= 65535:
        raise AddressNotAllowed
    return parsed


def _join(url: httpx.URL, location: str) -> str:
    try:
        return str(url.join(location))
    except httpx.InvalidURL as exc:
        raise AddressNotAllowed from exc


class _translated:  # noqa: N801 - reads as a clause: with _translated()
    """Foreign errors in this floor's words. A class, since it is used around `yield`."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: object
    ) -> None:
        match exc:
            case httpx.TimeoutException() | TimeoutError():
                raise UpstreamTimeout from exc
            case httpx.InvalidURL() | UnicodeError():
                raise AddressNotAllowed from exc
            case httpx.HTTPError() | OSError() | ssl.SSLError():
                raise UpstreamFailed from exc
