"""What becomes of each ticket of a request, decided from what is stored already. Pure."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from parlance.api.db import tables
from parlance.api.db.tables import Json
from parlance.api.domain.company.agents import Assignment
from parlance.api.domain.tickets import attempts
from parlance.api.domain.tickets.input import conversations, hashes, parsing
from parlance.api.domain.tickets.input.fields import TicketFields
from parlance.api.domain.tickets.input.parsing import ParsedTicket
from parlance.api.domain.tickets.uploads.upload import Mode, TicketUpload
from parlance.api.http.errors import FieldError, Refused
from parlance.contracts.calls import Priority
from parlance.contracts.problems import Problem, WarningCode


class Outcome(StrEnum):
    """What became of a ticket that was accepted."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The ticket is stored as it was sent."""

    ticket_id: uuid.UUID
    warnings: list[Json]
    parse_confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """The columns of a row that is to be inserted; the others have their defaults. A row object
    would cost half a millisecond, and there may be a thousand."""

    id: uuid.UUID
    company_id: uuid.UUID
    external_id: str | None
    subject: str | None
    channel: str | None
    status: str | None
    priority: str | None
    customer: Json
    user_id: uuid.UUID | None
    extension_id: str | None
    tags: list[str]
    extra: Json
    language: str
    redact_pii: bool
    warnings: list[Json]
    content_hash: bytes
    revision: int = 1
    message_count: int
    parse_confidence: float | None
    lane: Priority
    attempt: int = 1
    created_at: datetime
    received_at: datetime
    queued_at: datetime
    updated_at: datetime

    def build_values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NEW_COLUMNS}


_NEW_COLUMNS = tuple(NewTicket.__slots__)


@dataclass(frozen=True, slots=True)
class Change:
    """A ticket that is new, or has new content: its row as it is to be, and its conversation."""

    outcome: Outcome
    ticket: tables.Ticket | NewTicket
    messages: list[Json]
    raw_text: str | None
    warnings: list[Json]
    """About what was sent now."""


Result = Change | Unchanged | Refused


@dataclass(frozen=True, slots=True)
class Known:
    """A stored ticket, locked. The content is there for `Mode.APPEND` only."""

    ticket: tables.Ticket
    content: tables.TicketContent | None = None


def decide(
    upload: TicketUpload,
    index: int,
    assignment: Assignment,
    known: Known | None,
    new_id: uuid.UUID,
) -> Result:
    """What becomes of the ticket at `index`. A known one's row is changed in place."""
    parsed = upload.body.items[index]
    if isinstance(parsed, Refused):
        return parsed
    pointer = f"/tickets/{index}" if upload.body.is_many else ""
    if assignment.refusal is not None:
        return _move(assignment.refusal, pointer)
    warnings = [*parsed.warnings, *assignment.warnings]
    if known is None:
        ticket = _build_ticket(upload, parsed, assignment, new_id, warnings)
        conversation = parsed.conversation
        return Change(
            Outcome.CREATED, ticket, conversation.messages, conversation.raw_text, warnings
        )
    stored, sent = known.ticket.content_hash, parsed.content_hash
    if hashes.is_stored(stored, sent):
        return _keep(known, warnings)
    match upload.mode:
        case Mode.CREATE if hashes.was_sent(stored, sent):
            # Clients send again what they are not sure has arrived. This mode replaces nothing, so
            # what was changed since is safe, and a conflict would only stop such a client.
            return _keep(known, warnings)
        case Mode.CREATE:
            return _refuse_conflict(known.ticket, pointer)
        case Mode.UPSERT:
            return _replace(upload, known.ticket, parsed, assignment, warnings)
        case Mode.APPEND:
            return _append(upload, known, parsed, warnings, pointer)


def _build_ticket(
    upload: TicketUpload,
    parsed: ParsedTicket,
    assignment: Assignment,
    id_: uuid.UUID,
    warnings: list[Json],
) -> NewTicket:
    return NewTicket(
        id=id_,
        company_id=upload.principal.company_id,
        external_id=parsed.external_id,
        warnings=warnings,
        content_hash=parsed.content_hash,
        message_count=len(parsed.conversation.messages),
        parse_confidence=parsed.conversation.parse_confidence,
        lane=upload.lane,
        created_at=_find_begin(parsed) or upload.now,
        received_at=upload.now,
        queued_at=upload.now,
        updated_at=upload.now,
        **_read_fields(parsed.fields, assignment),
    )


def _read_fields(fields: TicketFields, assignment: Assignment) -> dict[str, Any]:
    """The columns that hold what the client said of the ticket."""
    customer = fields.customer.model_dump(exclude_none=True) if fields.customer else {}
    return {
        "subject": fields.subject,
        "channel": fields.channel,
        "status": fields.status,
        "priority": fields.priority,
        "customer": {name: value for name, value in customer.items() if value},
        "user_id": assignment.user_id,
        "extension_id": fields.extension_id,
        "tags": fields.tags,
        "extra": fields.metadata,
        "language": fields.language,
        "redact_pii": fields.redact_pii,
    }


def _find_begin(parsed: ParsedTicket) -> datetime | None:
    return parsed.fields.created_at or parsed.conversation.started_at


def _replace(
    upload: TicketUpload,
    ticket: tables.Ticket,
    parsed: ParsedTicket,
    assignment: Assignment,
    warnings: list[Json],
) -> Change:
    """All that the client says; what it leaves out is as in a new ticket."""
    for name, value in _read_fields(parsed.fields, assignment).items():
        setattr(ticket, name, value)
    conversation = parsed.conversation
    ticket.created_at = _find_begin(parsed) or ticket.created_at
    ticket.parse_confidence = conversation.parse_confidence
    ticket.warnings = warnings
    ticket.content_hash = parsed.content_hash
    _start_anew(upload, ticket, conversation.messages)
    return Change(Outcome.UPDATED, ticket, conversation.messages, conversation.raw_text, warnings)


def _append(
    upload: TicketUpload,
    known: Known,
    parsed: ParsedTicket,
    warnings: list[Json],
    pointer: str,
) -> Result:
    """Only messages; the other fields stay as they are."""
    ticket, content = known.ticket, known.content
    assert content is not None, "read for this mode"
    added = find_new(content.messages, parsed.conversation.messages)
    if not added:
        return _keep(known, warnings)
    messages = add_messages(content.messages, added)
    errors = parsing.check_size(messages, pointer, is_pasted=not parsed.fields.messages)
    if errors:
        return parsing.build_refusal(errors)
    confidence, sent = ticket.parse_confidence, parsed.conversation
    known_values = [value for value in (confidence, sent.parse_confidence) if value is not None]
    ticket.parse_confidence = min(known_values, default=None)
    ticket.warnings = _merge_warnings(ticket.warnings, warnings, messages)
    raw_texts = [text for text in (content.raw_text, sent.raw_text) if text]
    ticket.content_hash = hashes.mark_changed(ticket.content_hash)
    _start_anew(upload, ticket, messages)
    return Change(Outcome.UPDATED, ticket, messages, "\n\n".join(raw_texts) or None, warnings)


def find_new(stored: list[Json], sent: list[Json]) -> list[Json]:
    """Those that the ticket does not have: known by their `id`, otherwise by author, time and text.
    An `id` counts once in a request; equal messages without one were said more than once."""
    ids = {str(message["id"]) for message in stored if "id" in message}
    seen = {_describe(message) for message in stored}
    found = []
    for message in sent:
        id_, description = str(message.get("id", "")), _describe(message)
        if id_ in ids if id_ else description in seen:
            continue
        ids.add(id_)
        found.append(message)
    return found


def add_messages(stored: list[Json], added: list[Json]) -> list[Json]:
    """One conversation; the new messages are numbered behind the old ones."""
    begin = 1 + max((_read_index(message) for message in stored), default=-1)
    by_index = sorted(added, key=_read_index)
    numbered = [message | {"index": begin + n} for n, message in enumerate(by_index)]
    messages = [*stored, *numbered]
    return conversations.order(messages, conversations.read_times(messages))


def _read_index(message: Mapping[str, Any]) -> int:
    return int(message["index"])


def _describe(message: Json) -> tuple[object, ...]:
    return message["author"], message["created_at"], message["text"]


def _start_anew(upload: TicketUpload, ticket: tables.Ticket, messages: list[Json]) -> None:
    """A new attempt, of new content."""
    ticket.message_count = len(messages)
    ticket.revision += 1
    ticket.lane = upload.lane
    attempts.begin(ticket, upload.now)


def _merge_warnings(stored: list[Json], added: list[Json], messages: list[Json]) -> list[Json]:
    merged: list[Json] = []
    for warning in (*stored, *added):
        if warning not in merged and warning.get("code") != WarningCode.NO_CUSTOMER_SIDE:
            merged.append(warning)
    if not conversations.has_customer_side(messages):
        merged.append(parsing.build_one_sided_warning())
    return merged


def _keep(known: Known, warnings: list[Json]) -> Unchanged:
    return Unchanged(known.ticket.id, warnings, known.ticket.parse_confidence)


def _refuse_conflict(ticket: tables.Ticket, pointer: str) -> Refused:
    problem = Problem.TICKET_CONFLICT
    return Refused(
        problem,
        "The external_id is known with other content; mode=upsert replaces it, mode=append adds"
        " messages to it.",
        errors=[FieldError(f"{pointer}/external_id", problem.code, "is known")],
        members={"existing_ticket_id": str(ticket.id)},
    )


def _move(refusal: Refused, pointer: str) -> Refused:
    """The same for a ticket further down in the request."""
    errors = [
        FieldError(pointer + error.pointer, error.code, error.detail) for error in refusal.errors
    ]
    return Refused(refusal.problem, refusal.detail, errors=errors)
