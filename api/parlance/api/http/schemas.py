"""Wire schemas that every area shares."""

import msgspec


class Notice(msgspec.Struct, frozen=True):
    """Something was noticed; the request was accepted all the same."""

    code: str
    detail: str


class ProblemError(msgspec.Struct, frozen=True):
    """One wrong field."""

    pointer: str
    code: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not the wanted one (RFC 9457, application/problem+json).

    `success: false` stands beside these on the upload routes, and further members beside some
    codes: `max_bytes`, `existing_call_id`, `upstream_status`.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    retryable: bool
    request_id: str
    errors: list[ProblemError]
