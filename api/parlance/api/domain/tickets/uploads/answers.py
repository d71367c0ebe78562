"""What an upload is answered: one ticket, or the results of many."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Response
from msgspec import UNSET, UnsetType
from parlance.api.domain.tickets.input import bounds, parsing
from parlance.api.domain.tickets.uploads.changes import Change, Outcome, Result, Unchanged
from parlance.api.domain.tickets.uploads.upload import TicketUpload
from parlance.api.http import schemas
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem

_MESSAGES = {
    Outcome.CREATED: "Ticket created and queued for analysis",
    Outcome.UPDATED: "Ticket updated and queued for analysis",
    Outcome.UNCHANGED: "Ticket unchanged",
}
_STATUS_OF = {Outcome.CREATED: 201, Outcome.UPDATED: 200, Outcome.UNCHANGED: 200}


class TicketAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one ticket; `warnings` only when there are any."""

    success: bool
    ticket_id: str
    message: str
    outcome: Outcome
    warnings: list[schemas.Notice] | UnsetType = UNSET
    parse_confidence: float | UnsetType = UNSET
    """Of a pasted conversation: how sure it is who said what, in [0, 1]."""


class TicketResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one of many tickets. Further members stand beside some codes, as in a
    problem: `existing_ticket_id`, `first_index`, and limits."""

    index: int
    status: int
    ticket_id: str | UnsetType = UNSET
    outcome: Outcome | UnsetType = UNSET
    warnings: list[schemas.Notice] | UnsetType = UNSET
    parse_confidence: float | UnsetType = UNSET
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    errors: list[schemas.ProblemError] | UnsetType = UNSET


class TicketsAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to many tickets: one result each, in the order sent."""

    success: bool
    """True only if all went well."""
    created: int
    updated: int
    unchanged: int
    failed: int
    results: list[TicketResult]
    warnings: list[schemas.Notice] | UnsetType = UNSET


def build_answer(upload: TicketUpload, results: Sequence[Result]) -> Response[Any]:
    """Encoded: the same bytes are kept for whoever asks again. Raises Refused when nothing of the
    request was accepted."""
    if upload.body.is_many:
        return _answer_many(upload, results)
    [result] = results
    if isinstance(result, Refused):
        raise result
    return _answer_one(result)


def _answer_one(result: Change | Unchanged) -> Response[Any]:
    accepted = _describe(result)
    outcome = _read_outcome(result)
    body = {"success": True, "message": _MESSAGES[outcome], **accepted}
    headers = {}
    if outcome is Outcome.CREATED:
        headers["Location"] = f"/api/tickets/{accepted['ticket_id']}"
    return _encode(body, _STATUS_OF[outcome], headers)


def _answer_many(upload: TicketUpload, results: Sequence[Result]) -> Response[Any]:
    refusals = [result for result in results if isinstance(result, Refused)]
    body = _build_counts(results) | {
        "results": [_describe_item(index, result) for index, result in enumerate(results)]
    }
    if upload.body.warnings:
        body["warnings"] = upload.body.warnings
    if len(refusals) == len(results):
        raise _refuse_all(refusals, body)
    return _encode(body, 207 if refusals else 200, {})


def _build_counts(results: Sequence[Result]) -> dict[str, Any]:
    counts = Counter(
        "failed" if isinstance(r, Refused) else _read_outcome(r).value for r in results
    )
    names = (*(outcome.value for outcome in Outcome), "failed")
    return {"success": counts["failed"] == 0, **{name: counts[name] for name in names}}


def _refuse_all(refusals: Sequence[Refused], body: dict[str, Any]) -> Refused:
    """422 whatever the items have: one status for a request of which nothing was accepted."""
    errors = [error for refusal in refusals for error in refusal.errors]
    problem = parsing.build_problem(errors)
    if problem.status != Problem.VALIDATION_FAILED.status:
        problem = Problem.VALIDATION_FAILED
    detail = "None of the tickets was accepted."
    return Refused(problem, detail, errors=errors[: bounds.MAX_ITEM_ERRORS], members=body)


def _describe_item(index: int, result: Result) -> dict[str, Any]:
    if not isinstance(result, Refused):
        return {"index": index, "status": _STATUS_OF[_read_outcome(result)], **_describe(result)}
    return {
        "index": index,
        "status": result.problem.status,
        "code": result.problem.code,
        "detail": result.detail or result.problem.title,
        "errors": [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail}
            for error in result.errors
        ],
        **result.members,
    }


def _describe(result: Change | Unchanged) -> dict[str, Any]:
    match result:
        case Change():
            ticket_id, confidence = result.ticket.id, result.ticket.parse_confidence
        case Unchanged():
            ticket_id, confidence = result.ticket_id, result.parse_confidence
    found: dict[str, Any] = {
        "ticket_id": str(ticket_id),
        "outcome": _read_outcome(result).value,
    }
    if result.warnings:
        found["warnings"] = result.warnings
    if confidence is not None:
        found["parse_confidence"] = confidence
    return found


def _read_outcome(result: Change | Unchanged) -> Outcome:
    return result.outcome if isinstance(result, Change) else Outcome.UNCHANGED


def _encode(body: dict[str, Any], status: int, headers: dict[str, str]) -> Response[Any]:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
