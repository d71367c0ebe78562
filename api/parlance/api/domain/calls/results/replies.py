"""What the recorder itself says on the bus: how a call has ended, or that it cannot be stored.

Every id is made of call, attempt and type, so saying it twice is harmless. Called by `applier`,
and by readers who follow a call whose last event the bus no longer holds.
"""

from parlance.api.db import tables
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.envelopes import BY_RECORDER, Envelope
from parlance.contracts.calls import CallStatus, Stage
from parlance.contracts.crs.meta import Reason
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem


def build_ended(call: tables.Call, company: CompanySlug) -> Envelope | None:
    """The terminal event, made from the row; None while the call has not ended.

    Named after the attempt whose result it is.
    """
    data: call_events.EventData
    match call.status:
        case CallStatus.COMPLETED:
            data = call_events.Completed(
                transcript_key=call.transcript_key or "",
                transcript_sha256=call.transcript_sha256 or "",
                segments=call.segment_count or 0,
                duration_seconds=call.duration_seconds or 0.0,
                summary=call.summary,
            )
        case CallStatus.FAILED:
            data = call_events.Failed(
                reason=call.error_reason or "",
                code=call.error_code or "",
                message=call.error_message or "",
                stage=Stage.TRANSCRIBE,
                retryable=bool(call.error_retryable),
            )
        case CallStatus.CANCELLED:
            data = call_events.Cancelled(message=call.error_message or "")
        case _:
            return None
    return call_events.build_event(
        data,
        company=company,
        call_id=ids.parse_call_id(str(call.id)),
        attempt=max(1, call.attempt),
        detail="" if call.status is CallStatus.COMPLETED else BY_RECORDER,
        at=call.completed_at,
    )


def build_no_company(envelope: Envelope) -> Envelope:
    message = f"There is no company {envelope.company!r}."
    return _build_failed(envelope, Reason.COMPANY_NOT_FOUND, Problem.COMPANY_NOT_FOUND, message)


def build_foreign_id(envelope: Envelope) -> Envelope:
    message = "The name of the CallJob is the id of a call of another company."
    return _build_failed(envelope, Reason.ID_TAKEN, Problem.VALIDATION_FAILED, message)


def build_broken_artefact(envelope: Envelope) -> Envelope:
    message = "The result in the object store is missing or damaged."
    return _build_failed(envelope, Reason.OUTPUT_WRITE_FAILED, Problem.INTERNAL, message)


def build_not_stored(envelope: Envelope) -> Envelope:
    message = "The result could not be stored."
    return _build_failed(envelope, Reason.OUTPUT_WRITE_FAILED, Problem.INTERNAL, message)


def _build_failed(envelope: Envelope, reason: Reason, problem: Problem, message: str) -> Envelope:
    """The recorder receives this event like any other, and fails the call then."""
    is_result = envelope.type == EventType.ANALYZED
    failed = call_events.Failed(
        reason=reason,
        code=problem.code,
        message=message,
        stage=Stage.INSIGHTS if is_result else Stage.TRANSCRIBE,
        retryable=problem.retryable,
    )
    return call_events.build_event(
        failed,
        company=envelope.company,
        call_id=ids.parse_call_id(envelope.subject),
        attempt=envelope.attempt,
        detail=BY_RECORDER,
    )
