"""Turns whatever was raised into an RFC 9457 answer. The only place that does.

Registered by `asgi`. The text of an answer comes from `contracts.problems` and from `Refused`,
never from a driver or a library: what they say goes to the log, under the answer's request id.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    SerializationException,
    ValidationException,
)
from litestar.types import ExceptionHandlersMap
from parlance.api.http.errors import ClientGone, FieldError, Refused
from parlance.contracts.problems import Problem
from parlance.runtime.errors import InvalidKey, ObjectNotFound, Retryable
from pydantic import JsonValue

_log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "https://parlance.dev/problems/"
DEFAULT_RETRY_SECONDS = 2

_PROBLEM_OF_STATUS = {
    400: Problem.MALFORMED_REQUEST,
    401: Problem.UNAUTHENTICATED,
    403: Problem.FORBIDDEN,
    404: Problem.NOT_FOUND,
    405: Problem.METHOD_NOT_ALLOWED,
    413: Problem.TOO_LARGE,
    415: Problem.UNSUPPORTED_CONTENT_TYPE,
    422: Problem.VALIDATION_FAILED,
    429: Problem.RATE_LIMITED,
    503: Problem.UNAVAILABLE,
}


def build_handlers(success_paths: Collection[str] = ()) -> ExceptionHandlersMap:
    """The map for Litestar; one entry would do, but it looks up by class first.

    `success_paths`: routes whose clients read `success` only; their problems carry it too.
    """

    def answer(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
        path = request.url.path
        refused = translate(exc)
        _report(refused, exc, path)
        return build_response(
            refused,
            path=path,
            request_id=request.scope.get("state", {}).get("request_id", ""),
            says_success=path in success_paths,
        )

    return {HTTPException: answer, Exception: answer}


def _report(refused: Refused, exc: Exception, path: str) -> None:
    if refused.problem is Problem.INTERNAL:
        _log.error("unhandled", path=path, exc_info=exc)
    elif refused.problem.status >= 500:
        _log.warning("unavailable", path=path, cause=repr(exc), code=refused.problem.code)


def translate(exc: Exception) -> Refused:
    """What to answer for an exception of any origin."""
    match exc:
        case Refused():
            return exc
        case ClientGone():
            return Refused(Problem.MALFORMED_REQUEST, "The request was cut off.")
        case Retryable():
            return _refuse_for_now(exc.delay_seconds)
        case TimeoutError():
            return _refuse_for_now(DEFAULT_RETRY_SECONDS)
        case ObjectNotFound() | InvalidKey():
            return Refused(Problem.NOT_FOUND)
        case ValidationException():
            return _refuse_invalid(exc)
        case SerializationException():
            return Refused(Problem.MALFORMED_REQUEST)
        case HTTPException():
            return _refuse_http(exc)
        case _:
            return Refused(Problem.INTERNAL)


def build_response(
    refused: Refused, *, path: str, request_id: str, says_success: bool = False
) -> Response[Any]:
    """The answer itself."""
    return Response(
        content=build_body(refused, path=path, request_id=request_id, says_success=says_success),
        status_code=refused.problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **refused.headers},
    )


def build_body(
    refused: Refused, *, path: str, request_id: str, says_success: bool = False
) -> dict[str, JsonValue]:
    """Standard members first, then what belongs to this problem."""
    problem = refused.problem
    body: dict[str, JsonValue] = {
        "type": TYPE_PREFIX + problem.code.replace("_", "-"),
        "title": problem.title,
        "status": problem.status,
        "detail": refused.detail or problem.title,
        "instance": path,
        "code": problem.code,
        "retryable": problem.retryable,
        "request_id": request_id,
        "errors": [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail}
            for error in refused.errors
        ],
        **refused.members,
    }
    return {"success": False, **body} if says_success else body


def _refuse_for_now(delay_seconds: float) -> Refused:
    seconds = max(1, math.ceil(delay_seconds))
    return Refused(
        Problem.UNAVAILABLE,
        "A part of the service is not available. Nothing was stored; try again later.",
        headers={"Retry-After": str(seconds)},
    )


def _refuse_invalid(exc: ValidationException) -> Refused:
    extra = exc.extra if isinstance(exc.extra, Sequence) and not isinstance(exc.extra, str) else ()
    errors = [_field_error(item) for item in extra if isinstance(item, Mapping)]
    if (
        not errors
        and exc.__cause__ is not None
        and "decode" in type(exc.__cause__).__name__.lower()
    ):
        return Refused(Problem.MALFORMED_REQUEST)
    return Refused(Problem.VALIDATION_FAILED, errors=errors)


def _field_error(item: Mapping[str, Any]) -> FieldError:
    # A parameter whose name is a word of Python has an underscore behind it.
    key = str(item.get("key", "")).rstrip("_").replace(".", "/")
    message = str(item.get("message", "is not valid"))
    return FieldError(pointer=f"/{key}", code="invalid", detail=message[:200])


def _refuse_http(exc: HTTPException) -> Refused:
    problem = _PROBLEM_OF_STATUS.get(exc.status_code)
    if problem is None:
        problem = Problem.MALFORMED_REQUEST if exc.status_code < 500 else Problem.INTERNAL
    headers = {name.title(): value for name, value in (exc.headers or {}).items()}
    if isinstance(exc, MethodNotAllowedException):
        headers["Allow"] = _format_allow(headers.get("Allow", ""))
    return Refused(problem, headers=headers)


def _format_allow(allow: str) -> str:
    return ", ".join(sorted(part.strip() for part in allow.split(",") if part.strip()))
