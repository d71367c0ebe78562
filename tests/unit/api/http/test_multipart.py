"""The form parser: parts come through whatever the chunking; broken input is refused."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.api.http import multipart
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem

LIMITS = multipart.FormLimits(file_bytes=1_000_000)
BOUNDARY = "xYzZY"


async def _feed(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _part(name: str, value: bytes, file_name: str | None = None) -> bytes:
    label = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{label}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def _read(
    body: bytes, *, size: int = 65_536, limits: multipart.FormLimits = LIMITS
) -> list[tuple[str, str | None, bytes]]:
    found = []
    async for part in multipart.read_parts(_feed(body, size), BOUNDARY, limits):
        found.append((part.name, part.file_name, b"".join([chunk async for chunk in part])))
    return found


async def _refusal(
    body: bytes, *, limits: multipart.FormLimits = LIMITS, as_text: bool = False
) -> Problem:
    with pytest.raises(Refused) as caught:
        async for part in multipart.read_parts(_feed(body, 1000), BOUNDARY, limits):
            await (part.text() if as_text else part.skip())
    return caught.value.problem


@given(
    payload=st.binary(max_size=300) | st.just(b"\r\n--xYz" * 20) | st.just(b"\r\n--xYzZ\r\n"),
    size=st.integers(min_value=1, max_value=64),
)
async def test_any_bytes_come_through_however_they_are_cut(payload: bytes, size: int) -> None:
    body = _form(_part("api_key", b"k"), _part("call", payload, "a.wav"))

    assert await _read(body, size=size) == [("api_key", None, b"k"), ("call", "a.wav", payload)]


async def test_a_part_that_nobody_reads_is_skipped() -> None:
    body = _form(_part("call", b"x" * 5000, "a.wav"), _part("api_key", b"k"))

    names = [part.name async for part in multipart.read_parts(_feed(body, 100), BOUNDARY, LIMITS)]

    assert names == ["call", "api_key"]


async def test_a_body_cut_anywhere_is_refused() -> None:
    body = _form(_part("call", b"x" * 50, "a.wav"))
    end = len(body) - len("\r\n")  # the last line break is not needed

    assert {await _refusal(body[:cut]) for cut in range(end)} == {Problem.MALFORMED_MULTIPART}


async def test_a_wrong_boundary_is_refused_before_the_whole_body_is_read() -> None:
    received = 0

    async def feed() -> AsyncIterator[bytes]:
        nonlocal received
        for _ in range(1000):
            received += 1000
            yield b"-" * 1000

    with pytest.raises(Refused) as caught:
        await anext(multipart.read_parts(feed(), BOUNDARY, LIMITS))

    assert caught.value.problem is Problem.MALFORMED_MULTIPART
    assert received <= LIMITS.preamble_bytes + 1000


async def test_too_many_parts_are_refused() -> None:
    body = _form(*[_part(f"f{n}", b"") for n in range(LIMITS.parts + 1)])

    assert await _refusal(body) is Problem.MALFORMED_MULTIPART


async def test_a_long_header_is_refused() -> None:
    body = _form(_part("x" * (LIMITS.header_bytes + 1), b""))

    assert await _refusal(body) is Problem.MALFORMED_MULTIPART


async def test_a_long_text_is_refused_and_a_just_fitting_one_is_not() -> None:
    fitting = _form(_part("customer_name", b"x" * LIMITS.text_bytes))

    async for part in multipart.read_parts(_feed(fitting, 1000), BOUNDARY, LIMITS):
        assert len(await part.text()) == LIMITS.text_bytes
    too_long = _form(_part("customer_name", b"x" * (LIMITS.text_bytes + 1)))
    assert await _refusal(too_long, as_text=True) is Problem.TOO_LARGE


async def test_a_body_larger_than_everything_allowed_is_refused_by_counting() -> None:
    limits = multipart.FormLimits(file_bytes=100, text_bytes=10, parts=2, header_bytes=200)

    assert await _refusal(_form(_part("call", b"x" * 600, "a")), limits=limits) is Problem.TOO_LARGE


@pytest.mark.parametrize("value", [b"\xff\xfe", b"a\x00b", b"\xed\xa0\x80"])
async def test_text_that_is_no_clean_utf8_is_refused(value: bytes) -> None:
    assert await _refusal(_form(_part("order_id", value)), as_text=True) is Problem.INVALID_TEXT


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
    ],
)
def test_a_missing_or_senseless_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(Refused) as caught:
        multipart.parse_boundary(content_type)

    assert caught.value.problem is Problem.MALFORMED_MULTIPART


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/mixed; boundary=x"])
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(Refused) as caught:
        multipart.parse_boundary(content_type)

    assert caught.value.problem is Problem.UNSUPPORTED_CONTENT_TYPE


@pytest.mark.parametrize(
    ("given_name", "label"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\calls\\a.wav", "a.wav"),
        ("a\x07b\u202e.wav", "ab.wav"),
        ("x" * 4000, "x" * 256),
        ("\N{TELEPHONE RECEIVER}.mp3", "\N{TELEPHONE RECEIVER}.mp3"),
        ("", ""),
    ],
)
def test_a_file_name_is_only_a_label(given_name: str, label: str) -> None:
    assert multipart.clean_file_name(given_name) == label
