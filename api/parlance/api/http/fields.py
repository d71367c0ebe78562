"""Fields that clients send: the types that areas share, and their errors as a problem.

The same for forms, JSON bodies and query parameters. Which fields there are is an area's own.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from litestar.params import QueryParameter
from parlance.api.http.errors import FieldError, Refused, refuse_field
from parlance.contracts.problems import Problem, WarningCode
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    JsonValue,
    StringConstraints,
    ValidationError,
)

MAX_NAME_CHARACTERS = 256
MAX_ID_CHARACTERS = 128
MAX_METADATA_BYTES = 16 * 1024

_Model = TypeVar("_Model", bound=BaseModel)


def parse_id(text: str) -> uuid.UUID:
    """The id in a path. What is no id is an id that nobody has. Raises Refused (404)."""
    try:
        return uuid.UUID(text)
    except ValueError as exc:
        raise Refused(Problem.NOT_FOUND) from exc


def check_moment(value: datetime) -> datetime:
    """The first and last days of the calendar leave it in another time zone. Raises ValueError."""
    try:
        value.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("is out of range") from exc
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARACTERS)]
Id = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_ID_CHARACTERS)]
Language = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=35, pattern="^(auto|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)$"
    ),
]
"""A BCP-47 tag, or `auto`."""
Moment = Annotated[AwareDatetime, AfterValidator(check_moment)]

TextIn = Annotated[
    str | None, QueryParameter(max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00]*$")
]
"""A query parameter that is compared with a column; Postgres holds no NUL."""


def build_warning(code: WarningCode, detail: str) -> dict[str, JsonValue]:
    """One of `warnings[]`."""
    return {"code": code.value, "detail": detail}


def check_unknown(
    names: Sequence[str], *, strict: bool, meaning: str = "is unknown"
) -> list[dict[str, JsonValue]]:
    """Warnings for fields that mean nothing here; a member of an object is called `customer/vip`.
    Raises Refused when `strict`."""
    code = Problem.UNKNOWN_FIELD.code
    if names and strict:
        errors = [FieldError(f"/{name[:64]}", code, "is unknown") for name in names]
        raise Refused(Problem.UNKNOWN_FIELD, errors=errors)
    return [
        build_warning(WarningCode.UNKNOWN_FIELD, f"The field {name[:64]!r} {meaning}.")
        for name in names
    ]


def check_moment_in(name: str, value: datetime | None) -> datetime | None:
    """A query parameter. Raises Refused for a time that is none in UTC."""
    try:
        return None if value is None else check_moment(value)
    except ValueError as exc:
        raise refuse_field(Problem.VALIDATION_FAILED, name, str(exc)) from exc


def parse_model(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """An empty text counts as absent, as forms send it. Raises Refused with an error for every
    wrong field."""
    given = {name: value for name, value in values.items() if not _is_blank(value)}
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        raise Refused(Problem.VALIDATION_FAILED, errors=_build_errors(exc)) from exc


def _build_errors(exc: ValidationError) -> list[FieldError]:
    return [
        FieldError(
            "/" + "/".join(map(str, item["loc"])),
            item["type"],
            item["msg"].removeprefix("Value error, "),
        )
        for item in exc.errors(include_url=False, include_context=False, include_input=False)
    ]


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
