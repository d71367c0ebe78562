"""What the API raises when the answer is not the wanted one.

    ApiError
    ├── Refused(problem, ...)     becomes an RFC 9457 answer with a code of contracts.problems
    └── ClientGone                nobody is there to read an answer

Raised by handlers, services and identity; turned into HTTP by `problems` alone. Faults of the
adapters (`runtime.errors`) are not wrapped here: `problems` knows them too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parlance.contracts.problems import Problem
from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field; `pointer` is a JSON pointer into the request's fields."""

    pointer: str
    code: str
    detail: str


class ApiError(Exception):
    """Base of the tree above."""


class Refused(ApiError):
    """The request is answered with a problem.

    `members` stand beside the standard members of the answer (`max_bytes`, `existing_call_id`...).
    """

    def __init__(
        self,
        problem: Problem,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(f"{problem.code}: {detail or problem.title}")
        self.problem = problem
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})


class ClientGone(ApiError):
    """The client hung up before its request was complete."""

    def __init__(self) -> None:
        super().__init__("the client hung up")


def refuse_field(problem: Problem, field: str, detail: str) -> Refused:
    """A refusal that is the fault of one field."""
    return Refused(problem, detail, errors=[FieldError(f"/{field}", problem.code, detail)])
