"""What the engine asks of the bus. `parlance.runtime.bus` is the one in production."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeVar

from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction, Dispatch
from parlance.contracts.calls import Priority

D = TypeVar("D", bound=Dispatch)
D_co = TypeVar("D_co", bound=Dispatch, covariant=True)


class JobDelivery(Protocol[D_co]):
    """One delivery of a message of JOBS."""

    @property
    def value(self) -> D_co: ...
    @property
    def sequence(self) -> int: ...
    @property
    def attempts(self) -> int:
        """Which delivery of this message it is, from 1."""
        ...

    async def ack(self) -> None: ...
    async def ack_unconfirmed(self) -> None:
        """Without waiting for the server to note it: it may be delivered once more."""
        ...

    async def nak(self, delay_seconds: float) -> None: ...
    async def in_progress(self) -> None: ...
    async def term(self) -> None: ...


class StoredEvent(Protocol):
    @property
    def sequence(self) -> int: ...
    @property
    def envelope(self) -> Envelope: ...


class WorkBus(Protocol):
    """The half of the bus that workers use."""

    @property
    def is_connected(self) -> bool: ...
    @property
    def job_heartbeat_seconds(self) -> float: ...
    @property
    def jobs_epoch(self) -> str:
        """Another one than before: JOBS was lost and its sequences started anew."""
        ...

    async def publish_event(self, envelope: Envelope) -> int: ...
    async def publish_result(self, envelope: Envelope) -> None:
        """Hand a result to the recorder; for kinds with a `result_type`."""
        ...

    async def pull_jobs(
        self,
        expected: type[D],
        priority: Priority,
        *,
        batch: int = 1,
        wait_seconds: float = 0.0,
    ) -> Sequence[JobDelivery[D]]: ...
    async def stop_pulling(self) -> None:
        """Withdraw the standing requests for jobs and give back what they still bring."""
        ...

    def read_events(self, filter_subject: str) -> AsyncIterator[StoredEvent]: ...
    async def get_control(self, job_id: str) -> ControlAction | None: ...
    def watch_control(self) -> AsyncIterator[tuple[str, ControlAction]]: ...
