"""The envelope of every event, whatever the event is about. NATS and SSE carry the same.

The types and data of events are declared per kind of work, in a module of its own beside this one
(`calls`). Ids and keys only, never audio or rows.
"""

from datetime import UTC, datetime
from typing import TypeVar

from parlance.contracts.ids import CompanySlug
from parlance.contracts.values import Value
from pydantic import AwareDatetime, JsonValue

from . import subjects
from .subjects import Kind

MAX_MESSAGE_BYTES = 256 * 1024
"""Of an event or a dispatch. Far above any that is made here (a window of 29 s is about 2 KiB), and
a quarter of what a NATS server takes unless it is told otherwise. `runtime.bus` publishes no larger
one: a hub holds a thousand messages for each client that reads slowly."""

BY_RECORDER = "recorder"
"""Detail in the id of a failure or cancellation that the recorder itself reports."""

_Data = TypeVar("_Data", bound=Value)


class Envelope(Value):
    """One event."""

    id: str
    """Unique; also the Nats-Msg-Id."""
    type: str
    """`<kind>.<token>`, such as `call.segment`."""
    timestamp: AwareDatetime
    company: CompanySlug
    subject: str
    """Id of the call, ticket or sheet that the event is about."""
    attempt: int
    data: dict[str, JsonValue]

    @property
    def kind(self) -> str:
        """First part of the type; a plain string, as a newer sender may know more kinds."""
        return self.type.partition(".")[0]

    @property
    def token(self) -> str:
        """Last token of the NATS subject: what happened, without the kind."""
        return self.type.partition(".")[2]

    @property
    def nats_subject(self) -> str:
        """Raises ValueError for a kind that this contract does not know."""
        return subjects.format_event(self.company, Kind(self.kind), self.subject, self.token)


def build_event(
    type_: str,
    data: Value,
    *,
    company: CompanySlug,
    subject: str,
    attempt: int,
    id_: str | None = None,
    detail: str = "",
    at: datetime | None = None,
) -> Envelope:
    """Wrap typed data. `id_` replaces the usual `<subject>.<attempt>.<token>[.<detail>]`.

    Called by the `build_event` of each kind, which knows the type of its data.
    """
    token = type_.partition(".")[2]
    return Envelope(
        id=id_ or subjects.format_event_id(subject, attempt, token, detail),
        type=type_,
        timestamp=at or datetime.now(UTC),
        company=company,
        subject=subject,
        attempt=attempt,
        data=data.model_dump(mode="json", exclude_none=True),
    )


def parse_data(envelope: Envelope, expected: type[_Data]) -> _Data:
    """The typed data of an event. Raises pydantic.ValidationError when it does not fit."""
    return expected.model_validate(envelope.data)


def is_by_recorder(event: Envelope) -> bool:
    """Whether it says what stands in the database: then it is so, whatever was heard before."""
    return event.id.endswith(f".{BY_RECORDER}")
