"""What the events of every kind of work have in common.

Each kind declares its own types and data in a module beside this one (`calls`) and collects them
in a `KindEvents`, by which the worker's engine reads and writes them without knowing the kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from parlance.contracts.ids import CompanySlug
from parlance.contracts.lifecycle import Step
from parlance.contracts.values import Value
from pydantic import Field

from . import envelopes
from .envelopes import Envelope


class Retrying(Value):
    """The attempt in the envelope failed; another follows."""

    reason: str
    message: str
    next_attempt: int
    deliveries: int = Field(default=1, ge=1)
    """Of its message, while the run lasted: more than one when heartbeats were lost."""


class Cancelled(Value):
    """Somebody ended the work."""

    reason: str = "Cancelled"
    message: str = ""


@dataclass(frozen=True, slots=True)
class KindEvents:
    """The events of one kind, by their type."""

    data_of: Mapping[str, type[Value]]
    """No two types carry the same class of data."""
    step_of: Mapping[str, Step]
    result_type: str = ""
    """Of envelopes with a result for the recorder; empty for kinds whose results are events."""

    def find_step(self, type_: str) -> Step | None:
        """What the event means for the work; None for a type that a newer sender knows."""
        return self.step_of.get(type_)

    def type_of(self, data: Value) -> str:
        return next(type_ for type_, class_ in self.data_of.items() if class_ is type(data))

    def build_event(
        self,
        data: Value,
        *,
        company: CompanySlug,
        subject: str,
        attempt: int,
        id_: str | None = None,
        detail: str = "",
        at: datetime | None = None,
    ) -> Envelope:
        """The event that carries this data; see `envelopes.build_event`."""
        return envelopes.build_event(
            self.type_of(data),
            data,
            company=company,
            subject=subject,
            attempt=attempt,
            id_=id_,
            detail=detail,
            at=at,
        )

    def build_result(
        self, data: Value, *, company: CompanySlug, subject: str, attempt: int, at: datetime
    ) -> Envelope:
        """The envelope of a result. One of an attempt is as good as another, so all have one id."""
        return envelopes.build_event(
            self.result_type, data, company=company, subject=subject, attempt=attempt, at=at
        )
