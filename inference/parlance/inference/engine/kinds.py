"""What a kind of work brings so that the engine can run it. `wiring` registers the kinds.

A kind is one `WorkKind` and its `Task`: `parlance.inference.calls.kind` and `.task` are those of
calls. Everything else about messages, leases, attempts and endings is the engine's.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import Dispatch
from parlance.contracts.bus.kinds import KindEvents
from parlance.contracts.values import Value
from parlance.inference.engine.endings import Ending, Rejected
from parlance.inference.engine.lease import Lease
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.reporter import Reporter
from parlance.inference.engine.signs import Signs
from parlance.inference.engine.waits import Awaited, Waits

D = TypeVar("D", bound=Dispatch)


@dataclass(frozen=True, slots=True)
class Run(Generic[D]):
    """What the engine lends a task for one run."""

    lease: Lease[D]
    reporter: Reporter
    signs: Signs
    waits: Waits
    patience: Patience
    """How long the run waits for what is away; what it waits for is noted in `waits`."""
    taken_at: float
    """Monotonic time at which the message was taken."""

    @property
    def dispatch(self) -> D:
        """Of the newest attempt: a later one may have been adopted meanwhile."""
        return self.lease.dispatch


class Task(Protocol):
    """One run of one piece of work. Built anew each time its past is read."""

    def recall(self, event: Envelope) -> None:
        """Take in what an earlier run published; called for each such event, in order, before
        `run`. Raises pydantic.ValidationError where the data does not fit."""
        ...

    def build_sign(self, awaited: Awaited | None) -> Value:
        """The data of a sign of life: how far the work is, and what the run waits for."""
        ...

    def build_failed(self, rejected: Rejected) -> Value:
        """The data of the event that says that the work failed; asked for also when `run` was not
        called."""
        ...

    async def run(self) -> None:
        """Do the work and publish its events, the last one included. What it raises decides how
        the run ends (`endings`)."""
        ...


class WorkKind(Protocol[D]):
    """One kind of work."""

    @property
    def dispatch_type(self) -> type[D]: ...
    @property
    def events(self) -> KindEvents: ...
    @property
    def starts_anew(self) -> bool:
        """Whether runs reuse nothing of earlier ones, and each attempt has an input of its own.

        Then a first delivery needs no look at the past, and a run is of no more use once a later
        attempt has come. Otherwise attempts are of the same input, and a run goes on under the
        later one.
        """
        ...

    @property
    def first_sign_seconds(self) -> float:
        """A run that has had nothing to say for so long gives its first sign of life; the others
        come as rarely as those of any kind."""
        ...

    def build_task(self, run: Run[D]) -> Task: ...
    def find_problem(self) -> str | None:
        """Why this worker cannot do such work at present; it then takes none of it."""
        ...

    def plan_ending(self, error: BaseException) -> Ending | None:
        """What follows from an error of this kind of work; None for errors of the adapters."""
        ...
