"""`POST /api/add-calls` and `POST /api/addcallurl`: how calls come in over HTTP."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, SkipValidation
from parlance.api.domain.calls import schemas
from parlance.api.domain.calls.uploads import operations
from parlance.api.domain.calls.uploads.accepting import Acceptor
from parlance.api.domain.calls.uploads.reading import UploadReader
from parlance.api.http.links import BaseUrlIn
from parlance.api.identity import guard
from parlance.api.identity.scopes import Scope

ADD_CALLS_PATH = "/api/add-calls"
ADD_CALL_URL_PATH = "/api/addcallurl"

_ACCESS = guard.needs(Scope.CALLS_WRITE, is_key_in_body=True)


@dataclass(frozen=True, slots=True)
class Uploads:
    """What the routes of this module use."""

    reader: UploadReader
    acceptor: Acceptor


UploadsIn = NamedDependency[SkipValidation[Uploads]]


@post(
    ADD_CALLS_PATH,
    operation_id="addCall",
    summary="Upload a call",
    description=operations.ADD_CALLS_DESCRIPTION,
    operation_class=operations.AddCallsOperation,
    status_code=201,
    tags=["Calls"],
    opt=_ACCESS,
    # The form reader counts; the framework's own limit knows nothing of parts.
    request_max_body_size=None,
    responses=operations.UPLOAD_PROBLEMS,
)
async def add_calls(
    request: Request[Any, Any, Any],
    uploads: UploadsIn,
    base_url: BaseUrlIn,
    strict: FromQuery[bool] = False,
) -> Response[schemas.CallAccepted]:
    """A file or an address, as a form."""
    async with uploads.reader.open_form(request, base_url, strict=strict) as upload:
        return await uploads.acceptor.accept(upload)


@post(
    ADD_CALL_URL_PATH,
    operation_id="addCallByUrl",
    summary="Fetch a call from an address",
    description=operations.ADD_CALL_URL_DESCRIPTION,
    operation_class=operations.AddCallUrlOperation,
    status_code=201,
    tags=["Calls"],
    opt=_ACCESS,
    request_max_body_size=None,
    responses=operations.UPLOAD_PROBLEMS,
)
async def add_call_url(
    request: Request[Any, Any, Any],
    uploads: UploadsIn,
    base_url: BaseUrlIn,
    strict: FromQuery[bool] = False,
) -> Response[schemas.CallAccepted]:
    """The address of the audio, as JSON."""
    async with uploads.reader.open_json(request, base_url, strict=strict) as upload:
        return await uploads.acceptor.accept(upload)
