"""The closed list of problem codes: what can go wrong, with HTTP status and whether to retry.

The API answers them as RFC 9457 problems; failed calls and tickets carry one too. Documented in
docs/reference/problems.md, which is generated from here.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum


@dataclass(frozen=True, slots=True)
class _Problem:
    code: str
    status: int
    title: str
    retryable: bool = False


class Problem(Enum):
    """Every code. `Problem.X.code` is what clients match on."""

    MALFORMED_REQUEST = _Problem("malformed_request", 400, "The request cannot be parsed")
    MALFORMED_MULTIPART = _Problem("malformed_multipart", 400, "The multipart body is broken")
    DUPLICATE_FIELD = _Problem("duplicate_field", 400, "A field is given more than once")
    INVALID_TEXT = _Problem("invalid_text", 400, "Text holds NUL, lone surrogates or bad UTF-8")
    CONFLICTING_CREDENTIALS = _Problem(
        "conflicting_credentials", 400, "Two different API keys were given"
    )
    KEY_IN_QUERY = _Problem("key_in_query", 400, "An API key may not stand in the query string")
    UNAUTHENTICATED = _Problem("unauthenticated", 401, "A valid API key is needed")
    FORBIDDEN = _Problem("forbidden", 403, "The API key lacks the needed scope")
    NOT_FOUND = _Problem("not_found", 404, "There is no such thing here")
    METHOD_NOT_ALLOWED = _Problem("method_not_allowed", 405, "The method is not allowed here")
    DUPLICATE_CALL = _Problem("duplicate_call", 409, "The same audio was uploaded before")
    ALREADY_FINISHED = _Problem("already_finished", 409, "The call has ended already")
    NOT_READY = _Problem("not_ready", 409, "The result is not ready yet", True)
    IDEMPOTENCY_IN_PROGRESS = _Problem(
        "idempotency_in_progress", 409, "The first request with this key still runs", True
    )
    TICKET_CONFLICT = _Problem(
        "ticket_conflict", 409, "The external_id is known with other content"
    )
    DUPLICATE_IN_REQUEST = _Problem(
        "duplicate_in_request", 409, "The same thing stands in the request twice"
    )
    GONE = _Problem("gone", 410, "It was deleted")
    PRECONDITION_FAILED = _Problem(
        "precondition_failed", 412, "It was changed since it was read", True
    )
    TOO_LARGE = _Problem("too_large", 413, "The body is larger than the limit")
    TOO_MANY_ITEMS = _Problem("too_many_items", 413, "The request holds too many items")
    TOO_MANY_MESSAGES = _Problem("too_many_messages", 413, "The conversation has too many messages")
    TEXT_TOO_LONG = _Problem("text_too_long", 413, "The text is longer than the limit")
    UNSUPPORTED_MEDIA = _Problem("unsupported_media", 415, "The file is not audio we know")
    UNSUPPORTED_CODEC = _Problem("unsupported_codec", 415, "The audio codec is not supported")
    UNSUPPORTED_CONTENT_TYPE = _Problem(
        "unsupported_content_type", 415, "The content type is not accepted here"
    )
    VALIDATION_FAILED = _Problem("validation_failed", 422, "Some fields are wrong")
    ITEMS_REQUIRED = _Problem("items_required", 422, "The list of items is empty")
    CONVERSATION_REQUIRED = _Problem(
        "conversation_required", 422, "Neither messages nor text was given"
    )
    CONVERSATION_AMBIGUOUS = _Problem(
        "conversation_ambiguous", 422, "Both messages and text were given"
    )
    CONVERSATION_EMPTY = _Problem("conversation_empty", 422, "The conversation holds no words")
    INVALID_ROLE = _Problem("invalid_role", 422, "The role is unknown")
    INVALID_TIME = _Problem("invalid_time", 422, "The time cannot be right")
    AUDIO_REQUIRED = _Problem("audio_required", 422, "Neither a file nor audio_url was given")
    AUDIO_AMBIGUOUS = _Problem("audio_ambiguous", 422, "More than one audio source was given")
    EMPTY_FILE = _Problem("empty_file", 422, "The file is empty")
    NO_AUDIO_STREAM = _Problem("no_audio_stream", 422, "The file has no audio stream")
    AUDIO_TOO_SHORT = _Problem("audio_too_short", 422, "The audio is shorter than 160 ms")
    AUDIO_TOO_LONG = _Problem("audio_too_long", 422, "The audio is longer than 12 hours")
    UNDECODABLE_AUDIO = _Problem("undecodable_audio", 422, "The audio cannot be decoded")
    USER_NOT_FOUND = _Problem("user_not_found", 422, "There is no such user in the company")
    URL_NOT_ALLOWED = _Problem("url_not_allowed", 422, "The address may not be fetched")
    NOT_AUDIO = _Problem("not_audio", 422, "The address answered with something else than audio")
    AUDIO_FETCH_FAILED = _Problem("audio_fetch_failed", 422, "The address did not give the audio")
    IDEMPOTENCY_MISMATCH = _Problem(
        "idempotency_mismatch", 422, "The Idempotency-Key was used with another request"
    )
    UNKNOWN_FIELD = _Problem("unknown_field", 422, "A field is unknown")
    RATE_LIMITED = _Problem("rate_limited", 429, "Too many requests", True)
    INTERNAL = _Problem("internal", 500, "Something went wrong on our side", True)
    UPSTREAM_FAILED = _Problem("upstream_failed", 502, "The address could not be reached", True)
    UNAVAILABLE = _Problem("unavailable", 503, "A part of the service is not available", True)
    UPSTREAM_TIMEOUT = _Problem("upstream_timeout", 504, "The address was too slow", True)
    # Codes of failed calls and tickets that never stand in an HTTP answer of their own:
    INPUT_NOT_FOUND = _Problem("input_not_found", 422, "The input is not in the object store")
    INFERENCE_FAILED = _Problem("inference_failed", 502, "The speech model failed", True)
    WORKER_LOST = _Problem("worker_lost", 502, "The worker was lost too often", True)
    DEADLINE_EXCEEDED = _Problem("deadline_exceeded", 504, "The job took longer than allowed", True)
    COMPANY_NOT_FOUND = _Problem("company_not_found", 422, "There is no such company")

    @property
    def code(self) -> str:
        return self.value.code

    @property
    def status(self) -> int:
        return self.value.status

    @property
    def title(self) -> str:
        return self.value.title

    @property
    def retryable(self) -> bool:
        return self.value.retryable


class WarningCode(StrEnum):
    """Codes of `warnings[]`: the request was accepted, this was noticed."""

    TRUNCATED_AUDIO = "truncated_audio"
    DURATION_ESTIMATED = "duration_estimated"
    TYPE_MISMATCH = "type_mismatch"
    EXTENSION_UNKNOWN = "extension_unknown"
    EXTENSION_AMBIGUOUS = "extension_ambiguous"
    AGENT_UNKNOWN = "agent_unknown"
    ORDER_ID_REPEATED = "order_id_repeated"
    UNKNOWN_FIELD = "unknown_field"
    ROLE_MISSING = "role_missing"
    NO_CUSTOMER_SIDE = "no_customer_side"
    ZONE_ASSUMED = "zone_assumed"
    CONVERSATION_UNPARSED = "conversation_unparsed"
