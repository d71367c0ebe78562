"""`POST /api/add-calls` and `POST /api/addcallurl`: how calls come in over HTTP."""

import time
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromQuery
from parlance.api import access
from parlance.api.auth import Principal, Scope
from parlance.api.db import tables
from parlance.api.dependencies import BaseUrlIn, PartsIn
from parlance.api.domain.calls import accepting, fields, operations, schemas, views
from parlance.api.domain.calls.accepting import Draft
from parlance.api.domain.calls.fields import CallFields
from parlance.api.errors import FieldError, Refused, refuse_field
from parlance.api.ingest import body, fetching, json_text
from parlance.api.ingest.intake import TakenAudio
from parlance.api.wiring import Parts
from parlance.contracts import ids, objects
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.problems import Problem
from pydantic import JsonValue

MESSAGE = "Call uploaded successfully and queued for processing"
MAX_JSON_BYTES = 256 * 1024
_URL_NAMES = ("call_url", "audio_url")
_JSON_NAMES = fields.NAMES | {"api_key", *_URL_NAMES}


@post(
    "/api/add-calls",
    operation_id="addCall",
    summary="Upload a call",
    description=operations.ADD_CALLS_DESCRIPTION,
    operation_class=operations.AddCallsOperation,
    status_code=201,
    tags=["Calls"],
    # The form reader counts; the framework's own limit knows nothing of parts.
    request_max_body_size=None,
    responses=operations.UPLOAD_PROBLEMS,
)
async def add_calls(
    request: Request[Any, Any, Any],
    parts: PartsIn,
    base_url: BaseUrlIn,
    strict: FromQuery[bool] = False,
) -> Response[schemas.CallAccepted]:
    """A file or an address, as a form."""
    started = time.monotonic()
    async with parts.intake.claim_place(), parts.uploads.read(request) as submission:
        wanted = fields.parse_fields(submission.texts)
        warnings = fields.check_unknown(submission.unknown, strict=strict)
        assert submission.principal is not None
        if submission.url is not None:
            submission.audio = await fetching.take_url(
                parts.fetcher, parts.intake, submission.url, submission.format_key, "audio_url"
            )
        assert submission.audio is not None
        draft = await _draft(
            parts,
            submission.call_id,
            submission.principal,
            wanted,
            submission.audio,
            warnings,
            url=submission.url,
            field="audio_url" if submission.url else "call",
            file_name=submission.file_name,
        )
        call = await accepting.accept(parts.database, draft)
    return _answer(parts, call, base_url, started)


@post(
    "/api/addcallurl",
    operation_id="addCallByUrl",
    summary="Fetch a call from an address",
    description=operations.ADD_CALL_URL_DESCRIPTION,
    operation_class=operations.AddCallUrlOperation,
    status_code=201,
    tags=["Calls"],
    request_max_body_size=None,
    responses=operations.UPLOAD_PROBLEMS,
)
async def add_call_url(
    request: Request[Any, Any, Any],
    parts: PartsIn,
    base_url: BaseUrlIn,
    strict: FromQuery[bool] = False,
) -> Response[schemas.CallAccepted]:
    """The address of the audio, as JSON."""
    started = time.monotonic()
    header_key = access.read_key(request)
    if header_key is not None:
        await parts.gate.admit(header_key, Scope.CALLS_WRITE)
    values = await _read_json(request)
    key = access.merge_keys(header_key, _read_text(values, "api_key"))
    principal = await parts.gate.admit(key, Scope.CALLS_WRITE)
    field, url = _read_url(values)
    wanted = fields.parse_fields(values)
    unknown = [name for name in values if name not in _JSON_NAMES]
    warnings = fields.check_unknown(unknown, strict=strict)
    call_id = ids.new_call_id()
    company = CompanySlug(principal.company_slug)
    async with parts.intake.claim_place():
        audio = await fetching.take_url(
            parts.fetcher,
            parts.intake,
            url,
            lambda container: objects.format_audio_key(company, call_id, container.extension),
            field,
        )
        try:
            draft = await _draft(
                parts, call_id, principal, wanted, audio, warnings, url=url, field=field
            )
            call = await accepting.accept(parts.database, draft)
        except BaseException:
            await parts.intake.drop(audio.key)
            raise
    return _answer(parts, call, base_url, started)


async def _draft(
    parts: Parts,
    call_id: CallId,
    principal: Principal,
    wanted: CallFields,
    audio: TakenAudio,
    warnings: list[dict[str, JsonValue]],
    *,
    url: str | None,
    field: str,
    file_name: str | None = None,
) -> Draft:
    """Look into the file; then all that the row needs is known."""
    return Draft(
        call_id=call_id,
        principal=principal,
        fields=wanted,
        audio=audio,
        probed=await parts.intake.examine(audio, field),
        source=tables.CallSource.URL if url else tables.CallSource.UPLOAD,
        file_name=fetching.format_file_name(url) if url else file_name,
        url=fetching.strip_url(url) if url else None,
        warnings=warnings,
    )


def _answer(
    parts: Parts, call: tables.Call, base_url: str, started: float
) -> Response[schemas.CallAccepted]:
    notices = views.build_notices(call)
    return Response(
        schemas.CallAccepted(
            success=True,
            call_id=str(call.id),
            message=MESSAGE,
            audio_url=views.format_audio_url(base_url, call),
            duration_seconds=round(call.duration_seconds or 0.0),
            processing_time_ms=round((time.monotonic() - started) * 1000),
            warnings=notices or msgspec.UNSET,
        ),
        status_code=201,
        headers={"Location": f"/api/calls/{call.id}"},
        # The call is committed: the cluster may be away, the recorder relays what this does not.
        background=BackgroundTask(parts.relay.relay_call, call.id),
    )


async def _read_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    if not request.headers.get("Content-Type", "").lower().startswith("application/json"):
        raise Refused(Problem.UNSUPPORTED_CONTENT_TYPE, "Send application/json.")
    data = bytearray()
    async for chunk in body.read_body(request):
        data += chunk
        if len(data) > MAX_JSON_BYTES:
            raise Refused(
                Problem.TOO_LARGE,
                headers={"Connection": "close"},
                members={"max_bytes": MAX_JSON_BYTES},
            )
    return json_text.parse_object(bytes(data))


def _read_url(values: dict[str, Any]) -> tuple[str, str]:
    """The field that was used, and the address in it. Raises Refused."""
    given = {name: _read_text(values, name) for name in _URL_NAMES}
    found = [(name, url) for name, url in given.items() if url]
    match found:
        case [(name, url)]:
            return name, url
        case []:
            error = FieldError("/call_url", Problem.AUDIO_REQUIRED.code, "is missing")
            raise Refused(Problem.AUDIO_REQUIRED, "Send the address as `call_url`.", errors=[error])
        case _:
            raise refuse_field(Problem.AUDIO_AMBIGUOUS, "audio_url", "is given beside call_url")


def _read_text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise refuse_field(Problem.VALIDATION_FAILED, name, "must be a text")
    return (value or "").strip() or None
