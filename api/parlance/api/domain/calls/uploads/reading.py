"""Reads one request for a new call into an `Upload`.

The file is in the store when this is done, but nothing else knows of it yet. Called by the routes;
`accepting` makes a call of it.
"""

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request
from parlance.api.domain.calls.uploads import fields
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.domain.calls.uploads.form import Desk, FormReader, ReadLimits
from parlance.api.domain.calls.uploads.intake import Holding, Intake
from parlance.api.domain.calls.uploads.places import Places
from parlance.api.domain.calls.uploads.upload import (
    FILE_FIELD,
    JSON_URL_FIELDS,
    URL_FIELD,
    Upload,
)
from parlance.api.http import idempotency, json_body, multipart
from parlance.api.http.body import BodyReader
from parlance.api.http.errors import FieldError, Refused, refuse_field
from parlance.api.http.fields import check_unknown
from parlance.api.http.idempotency import Claim
from parlance.api.http.multipart import FormLimits
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate
from parlance.api.identity.principal import Principal
from parlance.contracts import ids
from parlance.contracts.problems import Problem

_NAMES = fields.NAMES | {guard.KEY_FIELD, *JSON_URL_FIELDS}


class UploadReader:
    """One per process."""

    def __init__(self, gate: Gate, places: Places, intake: Intake, limits: ReadLimits) -> None:
        self._intake = intake
        self._desk = Desk(gate, places, limits, FormLimits(file_bytes=intake.max_bytes))

    @contextlib.asynccontextmanager
    async def open_form(
        self, request: Request[Any, Any, Any], base_url: str, *, strict: bool
    ) -> AsyncGenerator[Upload, None]:
        """An upload whose file and key are checked. If anything fails, in here or in the caller's
        block, its file is removed from the store."""
        started_seconds = time.monotonic()
        # All that the headers tell is checked before the first byte is asked for: a client that
        # sends `Expect: 100-continue` has then sent nothing.
        boundary = multipart.parse_boundary(request.headers.get("Content-Type", ""))
        multipart.check_length(request, self._desk.form_limits)
        async with contextlib.AsyncExitStack() as place, Holding(self._intake) as holding:
            form = FormReader(self._desk, request, place, holding)
            principal = await form.read(boundary)
            wanted = fields.parse_fields(form.texts)
            source = form.url or (holding.audio.sha256 if holding.audio else None)
            yield Upload(
                call_id=form.call_id,
                principal=principal,
                fields=wanted,
                warnings=check_unknown(form.unknown, strict=strict),
                holding=holding,
                url=form.url,
                audio_field=URL_FIELD if form.url else FILE_FIELD,
                file_name=form.file_name,
                claim=_build_claim(request, principal, wanted, source),
                base_url=base_url,
                started_seconds=started_seconds,
            )

    @contextlib.asynccontextmanager
    async def open_json(
        self, request: Request[Any, Any, Any], base_url: str, *, strict: bool
    ) -> AsyncGenerator[Upload, None]:
        """An upload whose file is still to be fetched; otherwise like `open_form`."""
        started_seconds = time.monotonic()
        json_body.check_content_type(request)
        limits = self._desk.limits
        is_known = guard.find_principal(request) is not None
        with contextlib.nullcontext() if is_known else self._desk.places.count_unknown():
            body = BodyReader(request, limits.pace if is_known else limits.unkeyed_pace)
            values = await json_body.read_object(body.chunks())
            principal = await self._desk.gate.admit_by_field(request, guard.read_field_key(values))
        url_field, url = _read_url(values)
        wanted = fields.parse_fields(values)
        unknown = [name for name in values if name not in _NAMES]
        upload = Upload(
            call_id=ids.new_call_id(),
            principal=principal,
            fields=wanted,
            warnings=check_unknown(unknown, strict=strict),
            holding=Holding(self._intake),
            url=url,
            audio_field=url_field,
            file_name=None,
            claim=_build_claim(request, principal, wanted, url),
            base_url=base_url,
            started_seconds=started_seconds,
        )
        async with self._desk.places.claim(principal.company_id), upload.holding:
            yield upload


def _build_claim(
    request: Request[Any, Any, Any], principal: Principal, wanted: CallFields, source: str | None
) -> Claim | None:
    payload = {"fields": wanted.model_dump(mode="json"), "source": source}
    return idempotency.build_claim(request, principal.company_id, payload)


def _read_url(values: dict[str, Any]) -> tuple[str, str]:
    """The field that was used, and the address in it. Raises Refused."""
    given = {name: _read_text(values, name) for name in JSON_URL_FIELDS}
    found = [(name, url) for name, url in given.items() if url]
    match found:
        case [(name, url)]:
            return name, url
        case []:
            error = FieldError("/call_url", Problem.AUDIO_REQUIRED.code, "is missing")
            raise Refused(Problem.AUDIO_REQUIRED, "Send the address as `call_url`.", errors=[error])
        case _:
            raise refuse_field(Problem.AUDIO_AMBIGUOUS, URL_FIELD, "is given beside call_url")


def _read_text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise refuse_field(Problem.VALIDATION_FAILED, name, "must be a text")
    return (value or "").strip() or None
