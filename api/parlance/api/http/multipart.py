"""multipart/form-data read as it arrives: nothing is spooled, memory is bounded.

`read_parts` turns the body into parts, one after the other; whoever reads a part pulls its bytes
through from the socket. What the fields mean is not known here.
"""

import contextlib
import dataclasses
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import multipart
from litestar import Request
from parlance.api.http.errors import FieldError, Refused
from parlance.api.http.fields import MAX_NAME_CHARACTERS
from parlance.contracts.problems import Problem


@dataclasses.dataclass(frozen=True, slots=True)
class FormLimits:
    """Bounds of one form. A text field is held in memory, so it is small."""

    file_bytes: int
    text_bytes: int = 64 * 1024
    parts: int = 64
    header_bytes: int = 16 * 1024
    header_count: int = 16
    preamble_bytes: int = 64 * 1024
    """Nobody sends more before the first boundary; with a wrong boundary this ends the reading."""

    @property
    def body_bytes(self) -> int:
        """Largest body: the file and, beside it, all that the other limits let through."""
        return self.file_bytes + self.parts * (self.text_bytes + self.header_bytes)


class Part:
    """One field of the form and, as an iterator, its bytes as they arrive.

    Read it before the next part is asked for; what was not read is skipped then.
    """

    def __init__(
        self, segment: multipart.MultipartSegment, events: AsyncIterator[object], limits: FormLimits
    ) -> None:
        self.name: str = segment.name or ""
        self.file_name: str | None = (
            None if segment.filename is None else clean_file_name(segment.filename)
        )
        """None for a text field; empty when a browser sends a file input without a file."""
        self._events = events
        self._limits = limits
        self._is_complete = False

    def __aiter__(self) -> "Part":
        return self

    async def __anext__(self) -> bytes:
        event = None if self._is_complete else await anext(self._events)
        if event is None:
            self._is_complete = True
            raise StopAsyncIteration
        assert isinstance(event, bytes)
        return event

    async def text(self) -> str:
        """The whole part as text."""
        data = bytearray()
        async for chunk in self:
            data += chunk
            if len(data) > self._limits.text_bytes:
                raise _refuse_long_text(self.name, self._limits.text_bytes)
        return parse_text(bytes(data), self.name)

    async def skip(self) -> None:
        async for _ in self:
            pass


def parse_boundary(content_type: str) -> str:
    """The boundary of a multipart/form-data request."""
    kind, options = multipart.parse_options_header(content_type)
    if kind.lower() != "multipart/form-data":
        raise Refused(Problem.UNSUPPORTED_CONTENT_TYPE, "Send multipart/form-data.")
    boundary = str(options.get("boundary", ""))
    # RFC 2046: 1 to 70 characters; a longer one only makes the search slow.
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise Refused(Problem.MALFORMED_MULTIPART, "The boundary is missing or not valid.")
    return boundary


def check_length(request: Request[Any, Any, Any], limits: FormLimits) -> None:
    """Raises Refused for a body that is announced to be too large."""
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > limits.body_bytes:
        raise refuse_body(limits.file_bytes)


async def read_parts(
    body: AsyncIterator[bytes], boundary: str, limits: FormLimits
) -> AsyncGenerator[Part, None]:
    """The parts in their order. A broken body is refused, also when it ends too early."""
    async with contextlib.aclosing(_read_events(body, boundary, limits)) as events:
        async for event in events:
            part = Part(event, events, limits)
            yield part
            await part.skip()


async def _read_events(
    body: AsyncIterator[bytes], boundary: str, limits: FormLimits
) -> AsyncGenerator[Any, None]:
    """The parser's events: a segment, its chunks, None at its end, and so on."""
    parser = multipart.PushMultipartParser(
        boundary,
        max_header_size=limits.header_bytes,
        max_header_count=limits.header_count,
        max_segment_count=limits.parts,
    )
    received_bytes, has_begun = 0, False
    try:
        async for chunk in body:
            received_bytes += len(chunk)
            if received_bytes > limits.body_bytes:
                raise refuse_body(limits.file_bytes)
            for event in parser.parse(chunk) if chunk else ():
                has_begun = True
                yield event
            if not has_begun and received_bytes > limits.preamble_bytes:
                raise Refused(Problem.MALFORMED_MULTIPART, "The boundary does not occur.")
        parser.close()
    except multipart.ParserLimitReached as exc:
        raise _refuse_limit(limits) from exc
    except multipart.MultipartError as exc:
        raise Refused(
            Problem.MALFORMED_MULTIPART, "The multipart body is broken or ends too early."
        ) from exc


def parse_text(data: bytes, field: str) -> str:
    """Strict UTF-8 without NUL. Lone surrogates cannot be encoded in it, so they end here too."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _refuse_text(field, "is not valid UTF-8") from exc
    if "\0" in text:
        raise _refuse_text(field, "holds a NUL character")
    return text


def clean_file_name(name: str) -> str:
    """A label, never a path: last component, printable, NFC, bounded."""
    label = name.replace("\\", "/").rsplit("/", 1)[-1]
    label = "".join(char for char in label if unicodedata.category(char)[0] != "C")
    return unicodedata.normalize("NFC", label).strip()[:MAX_NAME_CHARACTERS]


def refuse_body(max_bytes: int) -> Refused:
    """Too large; the connection is closed, since nobody will read the rest."""
    return Refused(
        Problem.TOO_LARGE,
        f"A file may have at most {max_bytes} bytes.",
        headers={"Connection": "close"},
        members={"max_bytes": max_bytes},
    )


def _refuse_limit(limits: FormLimits) -> Refused:
    return Refused(
        Problem.MALFORMED_MULTIPART,
        f"At most {limits.parts} parts with {limits.header_count} headers of "
        f"{limits.header_bytes} bytes each are read.",
    )


def _refuse_long_text(field: str, max_bytes: int) -> Refused:
    return Refused(
        Problem.TOO_LARGE,
        f"A text field may have at most {max_bytes} bytes.",
        errors=[FieldError(f"/{field}", Problem.TOO_LARGE.code, "is too long")],
        headers={"Connection": "close"},
        members={"max_bytes": max_bytes},
    )


def _refuse_text(field: str, detail: str) -> Refused:
    return Refused(
        Problem.INVALID_TEXT, errors=[FieldError(f"/{field}", Problem.INVALID_TEXT.code, detail)]
    )
