"""Reads the form of an upload: credentials, fields and the file, in whatever order they come.

Little is granted to a request as long as nobody has shown a key: time, memory, and space in the
store. With the key it takes a place of its company (`places`) and its pace becomes the usual one.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

from litestar import Request
from parlance.api.domain.calls.uploads import fields, upload
from parlance.api.domain.calls.uploads.intake import Holding
from parlance.api.domain.calls.uploads.places import Places
from parlance.api.domain.calls.uploads.upload import FILE_FIELD, URL_FIELD
from parlance.api.http import multipart
from parlance.api.http.body import BodyReader, Pace
from parlance.api.http.errors import FieldError, Refused, refuse_field
from parlance.api.http.fields import MAX_ID_CHARACTERS
from parlance.api.http.multipart import FormLimits, Part
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate
from parlance.api.identity.principal import Principal
from parlance.contracts import ids
from parlance.contracts.problems import Problem
from parlance.media.sniff import Container

MAX_UNKEYED_TEXT_BYTES = 256 * 1024
"""Of all text fields before the key: they are held in memory, for anybody."""

_NAMES = fields.NAMES | {guard.KEY_FIELD, URL_FIELD}


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How slow and how large a request may be."""

    pace: Pace
    unkeyed_pace: Pace
    """Until the key is known."""
    unkeyed_file_bytes: int
    """Of a file that comes before its key."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What forms are read with. One per process."""

    gate: Gate
    places: Places
    limits: ReadLimits
    form_limits: FormLimits


class FormReader:
    """One form while it is read: what has come so far, and the place that it holds."""

    def __init__(
        self,
        desk: Desk,
        request: Request[Any, Any, Any],
        place: contextlib.AsyncExitStack,
        holding: Holding,
    ) -> None:
        self._desk = desk
        self._request = request
        self._body = BodyReader(request, desk.limits.unkeyed_pace)
        self._place = place
        self._holding = holding
        self._principal = guard.find_principal(request)
        self._seen: set[str] = set()
        self.call_id = ids.new_call_id()
        self.texts: dict[str, str] = {}
        self.file_name: str | None = None
        self.unknown: list[str] = []

    @property
    def url(self) -> str | None:
        return self.texts.get(URL_FIELD, "").strip() or None

    async def read(self, boundary: str) -> Principal:
        """All parts; afterwards the file is where it belongs. Raises Refused."""
        if self._principal is not None:
            await self._take_place(self._principal)
        else:
            self._place.enter_context(self._desk.places.count_unknown())
        parts = multipart.read_parts(self._body.chunks(), boundary, self._desk.form_limits)
        async with contextlib.aclosing(parts):
            async for part in parts:
                await self._read_part(part)
        principal = self._principal or await self._admit(None)
        await self._settle(principal)
        return principal

    async def _read_part(self, part: Part) -> None:
        name = part.name[:MAX_ID_CHARACTERS]  # of a stranger's, no more is kept
        if name in self._seen:
            raise refuse_field(Problem.DUPLICATE_FIELD, name[:64], "is given more than once")
        self._seen.add(name)
        if part.name == FILE_FIELD:
            await self._take_file(part)
        elif part.name not in _NAMES or part.file_name is not None:
            self.unknown.append(name)
            await self._skip(part)
        else:
            self.texts[part.name] = await part.text()
            if part.name == guard.KEY_FIELD:
                await self._admit(self.texts[guard.KEY_FIELD].strip())
            elif self._principal is None:
                self._check_texts()

    async def _skip(self, part: Part) -> None:
        async for _ in self._limit(part):
            pass

    def _limit(self, part: Part) -> AsyncIterator[bytes]:
        """What a part may hold: less as long as nobody has shown a key."""
        if self._principal is not None:
            return part
        return _bound(part, self._desk.limits.unkeyed_file_bytes)

    def _check_texts(self) -> None:
        if sum(len(text.encode()) for text in self.texts.values()) > MAX_UNKEYED_TEXT_BYTES:
            raise _refuse_before_key("Text fields", MAX_UNKEYED_TEXT_BYTES)

    async def _admit(self, field_key: str | None) -> Principal:
        """The key is known from here on: the request takes a place of its company instead."""
        principal = await self._desk.gate.admit_by_field(self._request, field_key)
        if self._principal is None:
            self._principal = principal
            await self._place.aclose()
            await self._take_place(principal)
        return principal

    async def _take_place(self, principal: Principal) -> None:
        await self._place.enter_async_context(self._desk.places.claim(principal.company_id))
        self._body.change_pace(self._desk.limits.pace)

    async def _take_file(self, part: Part) -> None:
        if part.file_name is None:
            raise refuse_field(Problem.AUDIO_REQUIRED, FILE_FIELD, "must be a file, not a text")
        if self._principal is None:
            await self._place.enter_async_context(self._desk.places.claim_unkeyed())
        try:
            await self._holding.take(self._limit(part), self._format_key, FILE_FIELD)
        except Refused as exc:
            # Browsers send a file input that was left empty as a file without a name.
            if exc.problem is not Problem.EMPTY_FILE or part.file_name:
                raise
        self.file_name = part.file_name or None

    def _format_key(self, container: Container) -> str:
        return upload.format_key(self.call_id, self._principal, container)

    async def _settle(self, principal: Principal) -> None:
        """Exactly one source; a file that came before its key goes to its company now."""
        audio = self._holding.audio
        if audio is None and self.url is None:
            raise _refuse_missing(self.unknown)
        if audio is None:
            return
        if self.url is not None:
            raise refuse_field(Problem.AUDIO_AMBIGUOUS, URL_FIELD, "is given beside a file")
        key = upload.format_key(self.call_id, principal, audio.container)
        if audio.key != key:
            await self._holding.move(key)


async def _bound(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[bytes, None]:
    size_bytes = 0
    async for chunk in chunks:
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise _refuse_before_key("A file", max_bytes)
        yield chunk


def _refuse_before_key(what: str, max_bytes: int) -> Refused:
    return Refused(
        Problem.TOO_LARGE,
        f"{what} before the key may have at most {max_bytes} bytes; send the key in X-Api-Key or "
        "as the first field.",
        headers={"Connection": "close"},
        members={"max_bytes": max_bytes},
    )


def _refuse_missing(unknown: list[str]) -> Refused:
    detail = f"Send the file as `{FILE_FIELD}` or its address as `{URL_FIELD}`."
    if unknown:  # a file under another name is the usual mistake
        detail += f" Unknown fields: {', '.join(unknown)[:200]}."
    return Refused(
        Problem.AUDIO_REQUIRED,
        detail,
        errors=[FieldError(f"/{FILE_FIELD}", Problem.AUDIO_REQUIRED.code, "is missing")],
    )
