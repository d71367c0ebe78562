"""The guarded fetch: what is not public is never connected to, on no hop, by no second answer."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from parlance.runtime import addresses, fetch

BAD_ADDRESSES = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0",  # noqa: S104
    "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "192.88.99.1", "198.18.0.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1",
    "3fff::1",
)  # fmt: skip
GOOD_ADDRESSES = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "172.32.0.1")
BAD_URLS = (
    "", "a.mp3", "/a.mp3", "//example.com/a.mp3", "file:///etc/passwd", "ftp://example.com/a",
    "gopher://example.com/", "data:audio/wav;base64,AAAA", "s3://bucket/key",
    "http://user:pw@example.com/a", "http://user@example.com/a", "http:///a", "http://",
    "http://exa mple.com/", "http://example.com\\@127.0.0.1/", "http://example.com/\r\nHost:x",
    "http://example.com:99999/", "http://example.com:x/", "https://example.com/" + "a" * 2048,
)  # fmt: skip
BAD_NAMES = (
    "localhost", "LOCALHOST.", "api.parlance.svc", "kubernetes.default.svc.cluster.local",
    "metadata.google.internal", "printer.local",
)  # fmt: skip

AUDIO = b"RIFF" + bytes(2000)
Answer = Callable[[str], bytes]


def resolver(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Answers one after the other; the last one again and again."""
    left = list(answers)

    async def resolve(_name: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


class Upstream:
    """A real server on loopback that notes the requests it saw."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.answer: Answer = lambda _: reply(AUDIO)
        self.port = 0
        self.hang = False
        self.done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.done.clear()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            writer.write(self.answer(request))
            await writer.drain()
            while self.hang:
                await asyncio.sleep(0.01)
        writer.close()
        self.done.set()

    @property
    def url(self) -> str:
        return f"http://calls.example:{self.port}/a.wav"


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream()
    found.done.set()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    found.hang = False
    await found.done.wait()
    server.close()
    await server.wait_closed()


def fetcher(
    *answers: Sequence[str],
    allow: Sequence[str] = ("127.0.0.1",),
    max_bytes: int = 1_000_000,
    seconds: float = 5.0,
) -> fetch.Fetcher:
    policy = fetch.FetchPolicy(
        max_bytes=max_bytes,
        allow=addresses.parse_allow_list(allow),
        total_seconds=seconds,
        idle_seconds=seconds,
    )
    return fetch.Fetcher(policy, resolve=resolver(*(answers or (["127.0.0.1"],))))


async def read(source: fetch.Fetcher, url: str) -> bytes:
    async with source.open_url(url) as fetched:
        return b"".join([chunk async for chunk in fetched.chunks()])


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(fetch.AddressNotAllowed):
        await read(fetcher([address], allow=()), "http://calls.example/a.wav")


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_a_public_address_is_allowed(address: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_url_that_is_not_plain_http_is_refused(url: str) -> None:
    with pytest.raises(fetch.AddressNotAllowed):
        fetch.parse_url(url)


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_an_inner_name_is_refused_whatever_it_resolves_to(name: str) -> None:
    with pytest.raises(fetch.AddressNotAllowed):
        await read(fetcher(["8.8.8.8"], allow=()), f"http://{name}/a.wav")


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]"])
async def test_odd_spellings_of_loopback_are_refused_after_the_systems_own_parsing(
    host: str,
) -> None:
    guarded = fetch.Fetcher(fetch.FetchPolicy(max_bytes=10))

    with pytest.raises(fetch.AddressNotAllowed):
        await read(guarded, f"http://{host}/a.wav")


async def test_one_bad_answer_among_good_ones_refuses_all(upstream: Upstream) -> None:
    with pytest.raises(fetch.AddressNotAllowed):
        await read(fetcher(["8.8.8.8", "127.0.0.1"], allow=()), "http://calls.example/a.wav")

    assert upstream.requests == []


async def test_a_port_other_than_80_and_443_is_refused_outside_the_allow_list() -> None:
    with pytest.raises(fetch.AddressNotAllowed):
        await read(fetcher(["8.8.8.8"], allow=()), "http://calls.example:6379/a.wav")


async def test_the_connection_goes_to_the_checked_address_with_the_name_as_host(
    upstream: Upstream,
) -> None:
    body = await read(fetcher(["127.0.0.1"], ["10.9.9.9"]), upstream.url)

    assert body == AUDIO
    assert f"\r\nHost: calls.example:{upstream.port}\r\n" in upstream.requests[0]
    assert "Accept-Encoding: identity" in upstream.requests[0]


async def test_each_redirect_is_checked_anew(upstream: Upstream) -> None:
    upstream.answer = lambda _: reply(b"", "302 Found", "Location: http://inner.example/secret")

    with pytest.raises(fetch.AddressNotAllowed):
        await read(fetcher(["127.0.0.1"], ["169.254.169.254"]), upstream.url)

    assert len(upstream.requests) == 1


async def test_a_relative_redirect_is_followed(upstream: Upstream) -> None:
    upstream.answer = lambda request: (
        reply(AUDIO) if "/b.wav" in request else reply(b"", "307 Go", "Location: /b.wav")
    )

    assert await read(fetcher(), upstream.url) == AUDIO


async def test_endless_redirects_end(upstream: Upstream) -> None:
    upstream.answer = lambda _: reply(b"", "302 Found", "Location: /again")

    with pytest.raises(fetch.UpstreamRefused):
        await read(fetcher(), upstream.url)

    assert len(upstream.requests) == 6


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Gone", fetch.UpstreamRefused),
        ("403 No", fetch.UpstreamRefused),
        ("206 Part", fetch.UpstreamRefused),
        ("500 Oh", fetch.UpstreamFailed),
        ("503 Busy", fetch.UpstreamFailed),
    ],
)
async def test_a_status_other_than_200_is_no_file(
    upstream: Upstream, status: str, error: type[fetch.FetchError]
) -> None:
    upstream.answer = lambda _: reply(b"no", status)

    with pytest.raises(error):
        await read(fetcher(), upstream.url)


async def test_an_announced_size_above_the_limit_is_refused_unread(upstream: Upstream) -> None:
    with pytest.raises(fetch.UpstreamTooLarge):
        await read(fetcher(max_bytes=100), upstream.url)


async def test_an_endless_body_is_cut_at_the_limit(upstream: Upstream) -> None:
    upstream.answer = lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(500_000)

    with pytest.raises(fetch.UpstreamTooLarge):
        await read(fetcher(max_bytes=100_000), upstream.url)


async def test_a_body_shorter_than_announced_is_a_failure(upstream: Upstream) -> None:
    upstream.answer = lambda _: reply(AUDIO)[:-10]

    with pytest.raises(fetch.UpstreamFailed):
        await read(fetcher(), upstream.url)


async def test_a_silent_server_times_out(upstream: Upstream) -> None:
    upstream.hang, upstream.answer = True, lambda _: b""

    with pytest.raises(fetch.UpstreamTimeout):
        await read(fetcher(seconds=0.2), upstream.url)


async def test_a_refused_connection_is_a_failure() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    with pytest.raises(fetch.UpstreamFailed):
        await read(fetcher(), f"http://calls.example:{port}/a.wav")


async def test_a_host_on_the_allow_list_may_be_private_and_use_any_port(upstream: Upstream) -> None:
    assert await read(fetcher(allow=["Calls.Example"]), upstream.url) == AUDIO
    assert await read(fetcher(allow=["127.0.0.0/8"]), upstream.url) == AUDIO


async def test_proxies_of_the_environment_are_not_used(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    assert await read(fetcher(), upstream.url) == AUDIO
