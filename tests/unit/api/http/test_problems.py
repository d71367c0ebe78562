"""Whatever is raised becomes a whole problem, and nothing of a driver gets out."""

import pytest
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from parlance.api.db.errors import DatabaseUnavailable, QueryRejected, RowConflict
from parlance.api.http import problems
from parlance.api.http.errors import ClientGone, FieldError, Refused
from parlance.contracts.problems import Problem
from parlance.runtime.errors import ObjectNotFound, StoreUnavailable

SECRET = "password=hunter2 relation calls"


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        (Refused(Problem.EMPTY_FILE), Problem.EMPTY_FILE),
        (ClientGone(), Problem.MALFORMED_REQUEST),
        (StoreUnavailable(SECRET), Problem.UNAVAILABLE),
        (DatabaseUnavailable("57P01"), Problem.UNAVAILABLE),
        (TimeoutError(SECRET), Problem.UNAVAILABLE),
        (ObjectNotFound(SECRET), Problem.NOT_FOUND),
        (NotFoundException(SECRET), Problem.NOT_FOUND),
        (ClientException(SECRET), Problem.MALFORMED_REQUEST),
        (HTTPException(SECRET, status_code=418), Problem.MALFORMED_REQUEST),
        (HTTPException(SECRET, status_code=507), Problem.INTERNAL),
        (QueryRejected(SECRET), Problem.INTERNAL),
        (RowConflict(SECRET), Problem.INTERNAL),
        (KeyError(SECRET), Problem.INTERNAL),
    ],
)
def test_every_exception_has_its_problem_and_keeps_its_text(
    raised: Exception, problem: Problem
) -> None:
    refused = problems.translate(raised)
    body = problems.build_body(refused, path="/x", request_id="r")

    assert refused.problem is problem
    assert SECRET not in str(body)


def test_what_may_work_later_says_when() -> None:
    refused = problems.translate(StoreUnavailable("put", delay_seconds=2.2))

    assert refused.headers == {"Retry-After": "3"}


def test_a_wrong_method_names_the_right_ones_in_order() -> None:
    raised = MethodNotAllowedException(headers={"allow": "POST, GET"})

    assert problems.translate(raised).headers["Allow"] == "GET, POST"


def test_wrong_parameters_are_named_one_by_one() -> None:
    extra = [
        {"key": "limit", "message": "too small", "source": "query"},
        {"key": "from_", "message": "too small", "source": "query"},
        {"message": "odd"},
    ]

    refused = problems.translate(ValidationException(extra=extra))

    assert refused.problem is Problem.VALIDATION_FAILED
    assert refused.errors == (
        FieldError("/limit", "invalid", "too small"),
        FieldError("/from", "invalid", "too small"),
        FieldError("/", "invalid", "odd"),
    )


def test_a_problem_has_all_members_and_those_of_its_own() -> None:
    refused = Refused(
        Problem.TOO_LARGE,
        "Too much.",
        errors=[FieldError("/call", "too_large", "is too long")],
        members={"max_bytes": 7},
    )

    body = problems.build_body(refused, path="/api/calls", request_id="r-1")

    assert body == {
        "type": "https://parlance.dev/problems/too-large",
        "title": "The body is larger than the limit",
        "status": 413,
        "detail": "Too much.",
        "instance": "/api/calls",
        "code": "too_large",
        "retryable": False,
        "request_id": "r-1",
        "errors": [{"pointer": "/call", "code": "too_large", "detail": "is too long"}],
        "max_bytes": 7,
    }


def test_routes_whose_clients_read_success_only_say_it() -> None:
    refused = Refused(Problem.INTERNAL)
    body = problems.build_body(refused, path="/x", request_id="", says_success=True)

    assert body["success"] is False


def test_codes_are_unique_and_statuses_are_errors() -> None:
    codes = [problem.code for problem in Problem]

    assert len(codes) == len(set(codes))
    assert all(400 <= problem.status < 600 for problem in Problem)
