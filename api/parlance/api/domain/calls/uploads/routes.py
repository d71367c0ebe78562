"""`POST /api/add-calls` and `POST /api/addcallurl`: how calls come in over HTTP."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromQuery
from parlance.api.db import tables
from parlance.api.db.errors import RowConflict
from parlance.api.domain.calls import operations, schemas, views
from parlance.api.domain.calls.uploads import accepting, fetching, fields
from parlance.api.domain.calls.uploads import reading as uploading
from parlance.api.domain.calls.uploads.accepting import Answer, Draft
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.domain.calls.uploads.reading import Submission
from parlance.api.http import body, idempotency, json_text
from parlance.api.http.errors import FieldError, Refused, refuse_field
from parlance.api.http.idempotency import Claim
from parlance.api.identity import guard as access
from parlance.api.identity.dependencies import BaseUrlIn, PartsIn
from parlance.api.identity.keys import Scope
from parlance.api.wiring import Parts
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
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
        offer = Offer(submission, wanted, warnings, uploading.URL_FIELD, base_url, started)
        return await _accept(request, parts, offer)


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
    submission = Submission(ids.new_call_id(), header_key, principal, {uploading.URL_FIELD: url})
    offer = Offer(submission, wanted, warnings, field, base_url, started)
    async with (
        parts.intake.claim_place(),
        uploading.drop_unless_done(parts.intake, submission),
    ):
        return await _accept(request, parts, offer)


@dataclass(frozen=True, slots=True)
class Offer:
    """A submission whose fields are right."""

    submission: Submission
    fields: CallFields
    warnings: list[dict[str, JsonValue]]
    url_field: str
    """Which field to blame for an address."""
    base_url: str
    started: float

    def render(self, call: tables.Call) -> Answer:
        """The 201."""
        accepted = schemas.CallAccepted(
            success=True,
            call_id=str(call.id),
            message=MESSAGE,
            audio_url=views.format_audio_url(self.base_url, call),
            duration_seconds=round(call.duration_seconds or 0.0),
            processing_time_ms=round((time.monotonic() - self.started) * 1000),
            warnings=views.build_notices(call) or msgspec.UNSET,
        )
        return Answer({"Location": f"/api/calls/{call.id}"}, msgspec.json.encode(accepted))


async def _accept(
    request: Request[Any, Any, Any], parts: Parts, offer: Offer
) -> Response[schemas.CallAccepted]:
    """Make a call of it, or give the answer that the same request had before."""
    claim = _build_claim(request, offer)
    if claim is not None and (known := await idempotency.find_answer(parts.database, claim)):
        return await _replay(parts, offer, known)
    draft = await _draft(parts, offer, claim)
    try:
        call, answer = await accepting.accept(
            parts.database, draft, offer.render, on_commit=offer.submission.note_commit
        )
    except RowConflict as exc:
        if claim is None or not idempotency.is_conflict(exc):
            raise
        known = await idempotency.find_answer(parts.database, claim)
        assert known is not None, "what was in the way is there"
        return await _replay(parts, offer, known)
    return Response(
        answer.body,  # type: ignore[arg-type]  # encoded already
        status_code=201,
        media_type="application/json",
        headers=answer.headers,
        # The call is committed: the cluster may be away, the recorder relays what this does not.
        background=BackgroundTask(parts.relay.relay_one, Kind.CALL, call.id),
    )


async def _replay(
    parts: Parts, offer: Offer, answer: Response[Any]
) -> Response[schemas.CallAccepted]:
    """The second copy of the file is not needed."""
    if offer.submission.audio is not None:
        await parts.intake.drop(offer.submission.audio.key)
    return answer


def _build_claim(request: Request[Any, Any, Any], offer: Offer) -> Claim | None:
    submission = offer.submission
    assert submission.principal is not None
    source = submission.url or (submission.audio and submission.audio.sha256)
    payload = {"fields": offer.fields.model_dump(mode="json"), "source": source}
    return idempotency.build_claim(request, submission.principal.company_id, payload)


async def _draft(parts: Parts, offer: Offer, claim: Claim | None) -> Draft:
    """Fetch the file if it is not here, and look into it; then all that the row needs is known."""
    submission, url = offer.submission, offer.submission.url
    assert submission.principal is not None
    if submission.audio is None:
        assert url is not None, "one of the two was given"
        submission.audio = await fetching.take_url(
            parts.fetcher, parts.intake, url, submission.format_key, offer.url_field
        )
    field = offer.url_field if url else uploading.FILE_FIELD
    return Draft(
        call_id=submission.call_id,
        principal=submission.principal,
        fields=offer.fields,
        audio=submission.audio,
        probed=await parts.intake.examine(submission.audio, field),
        source=tables.CallSource.URL if url else tables.CallSource.UPLOAD,
        file_name=fetching.format_file_name(url) if url else submission.file_name,
        url=fetching.strip_url(url) if url else None,
        warnings=offer.warnings,
        claim=claim,
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
