"""Subjects and message ids: one formatter and one parser for each. Used through `runtime.bus`."""

from dataclasses import dataclass
from enum import StrEnum

from parlance.contracts.calls import Priority
from parlance.contracts.ids import CallId, CompanySlug

JOBS_ALL = "jobs.>"
RESULTS_ALL = "results.>"
EVENTS_ALL = "events.>"
CONTROL_ALL = "$KV.CONTROL.>"
ADVISORIES = (
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
    "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
)


class Kind(StrEnum):
    """What a job or an event is about."""

    CALL = "call"
    SHEET = "sheet"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class EventSubject:
    """Parts of `events.<company>.<kind>.<id>.<type>`; `type` is the part after the kind's dot."""

    company: CompanySlug
    kind: Kind
    id: str
    type: str


class InvalidSubject(ValueError):
    """A subject that this contract does not know."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"not a subject of this contract: {subject[:120]!r}")
        self.subject = subject


_KINDS_WITH_CONTENT = frozenset({Kind.TICKET})
"""Kinds whose dispatches carry content. Their subjects end with the id, so that what a dispatch
carries can be deleted with the thing it is about."""


def format_job(kind: Kind, priority: Priority, id_: str) -> str:
    lane = f"jobs.{kind}.{priority}"
    return f"{lane}.{id_}" if kind in _KINDS_WITH_CONTENT else lane


def format_jobs_of_lane(kind: Kind, priority: Priority) -> str:
    """Filter for the dispatches of one lane."""
    return format_job(kind, priority, "*")


def format_jobs_of(kind: Kind, id_: str) -> str:
    """Filter for the dispatches of one thing, in whatever lane; only for kinds whose dispatches
    carry content."""
    if kind not in _KINDS_WITH_CONTENT:
        raise InvalidSubject(f"jobs.{kind}.*.{id_}")
    return f"jobs.{kind}.*.{id_}"


def parse_job(subject: str) -> tuple[Kind, Priority]:
    match subject.split("."):
        case ["jobs", kind, priority, *rest] if len(rest) == (kind in _KINDS_WITH_CONTENT):
            try:
                return Kind(kind), Priority(priority)
            except ValueError as exc:
                raise InvalidSubject(subject) from exc
        case _:
            raise InvalidSubject(subject)


def format_result(company: CompanySlug, kind: Kind, id_: str) -> str:
    """Of the results of one thing; also the filter for them."""
    return f"results.{company}.{kind}.{id_}"


def format_results_of_kind(kind: Kind) -> str:
    return f"results.*.{kind}.*"


def format_event(company: CompanySlug, kind: Kind, id_: str, type_: str) -> str:
    return f"events.{company}.{kind}.{id_}.{type_}"


def format_events_of(company: CompanySlug, kind: Kind, id_: str) -> str:
    """Filter for every event of one thing."""
    return f"events.{company}.{kind}.{id_}.>"


def format_events_of_company(company: CompanySlug) -> str:
    return f"events.{company}.>"


def format_events_of_company_kind(company: CompanySlug, kind: Kind) -> str:
    """Filter for every event of one kind in a company."""
    return f"events.{company}.{kind}.>"


def format_events_of_kind(kind: Kind) -> str:
    return f"events.*.{kind}.>"


def format_events_of_type(kind: Kind, type_: str) -> str:
    return f"events.*.{kind}.*.{type_}"


def parse_event(subject: str) -> EventSubject:
    match subject.split("."):
        case ["events", company, kind, id_, type_]:
            try:
                return EventSubject(CompanySlug(company), Kind(kind), id_, type_)
            except ValueError as exc:
                raise InvalidSubject(subject) from exc
        case _:
            raise InvalidSubject(subject)


def format_control(job_id: str) -> str:
    return f"$KV.CONTROL.{job_id}"


def parse_control(subject: str) -> str:
    """The job id. Raises InvalidSubject."""
    match subject.split("."):
        case ["$KV", "CONTROL", job_id]:
            return job_id
        case _:
            raise InvalidSubject(subject)


def format_dispatch_id(uid: str, attempt: int) -> str:
    """Message id of a dispatch. A first net only: JetStream forgets it after the ack."""
    return f"{uid}.{attempt}"


def format_window_id(call_id: CallId, model_hash: str, window: int, resets: int = 0) -> str:
    """Message id of a finished window: whoever does the same window again is refused by the bus.
    After a `call.reset` clients have dropped it, and it must get through once more."""
    again = f"{resets}." if resets else ""
    return f"{call_id}.{model_hash[:8]}.{again}{window}"


def format_reset_id(call_id: CallId, resets: int, model_hash: str) -> str:
    """Message id of a `call.reset`, the `resets`-th of the call. Without the attempt: of two runs
    that overlap and go on with the same model only the first one resets what clients hold."""
    return f"{call_id}.reset.{resets}.{model_hash[:8]}"


def format_event_id(subject_id: str, attempt: int, type_: str, detail: str = "") -> str:
    """Message id of any other event."""
    return f"{subject_id}.{attempt}.{type_}" + (f".{detail}" if detail else "")
