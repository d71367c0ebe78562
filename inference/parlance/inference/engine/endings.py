"""Every way a run can end, and which error leads to which. Pure; used by `runner`.

ending       event            message
Finished     (the task's)     ack       the work is done and published
Settled      -                ack       there was nothing to do: an older message, or a copy
Stopped      cancelled        ack       somebody asked for it
Rejected     failed           term      trying again gives the same answer
HandedBack   retrying         nak       something else is away; another run goes on from here
Crashed      -                nak       nobody foresaw this; counts as a lost run
"""

from collections.abc import Callable
from dataclasses import dataclass

from parlance.contracts.bus.kinds import Cancelled, Retrying
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.runtime.errors import BusUnavailable, Permanent, Retryable, StoreUnavailable

CRASH_DELAY_SECONDS = 5.0
HANDOVER_DELAY_SECONDS = 5.0
_MAX_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Finished:
    pass


@dataclass(frozen=True, slots=True)
class Settled:
    message: str


@dataclass(frozen=True, slots=True)
class Stopped:
    message: str

    def build_event(self) -> Cancelled:
        return Cancelled(message=self.message)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Each kind of work says it in an event of its own (`Task.build_failed`)."""

    reason: Reason
    problem: Problem
    message: str


@dataclass(frozen=True, slots=True)
class HandedBack:
    reason: Reason
    message: str
    delay_seconds: float = HANDOVER_DELAY_SECONDS

    def build_event(self, attempt: int, deliveries: int) -> Retrying:
        """The attempt stays the same: a run that hands its message back has not failed."""
        return Retrying(
            reason=self.reason,
            message=self.message,
            next_attempt=attempt,
            deliveries=deliveries,
        )


@dataclass(frozen=True, slots=True)
class Crashed:
    message: str
    delay_seconds: float = CRASH_DELAY_SECONDS


Ending = Finished | Settled | Stopped | Rejected | HandedBack | Crashed
_WEIGHT: tuple[type[Ending], ...] = (
    Rejected, Crashed, HandedBack, Stopped, Settled, Finished,
)  # fmt: skip


def plan_ending(
    error: BaseException, plan_of_kind: Callable[[BaseException], Ending | None]
) -> Ending:
    """What follows from an error of the work: the kind of work is asked first. Texts are for people
    and name no internals."""
    if isinstance(error, BaseExceptionGroup):
        # Several parts of the work may fail at once; what says most about the input decides.
        endings = [plan_ending(single, plan_of_kind) for single in error.exceptions]
        return min(endings, key=lambda ending: _WEIGHT.index(type(ending)))
    return plan_of_kind(error) or _plan_of_adapter(error)


def _plan_of_adapter(error: BaseException) -> Ending:
    match error:
        case BusUnavailable():
            return hand_back(Reason.BUS_UNAVAILABLE, error)
        case StoreUnavailable():
            return hand_back(Reason.WAITING_FOR_STORE, error)
        case Retryable():
            return hand_back(Reason.RETRYING, error)
        case Permanent():
            text = "The job cannot be carried out."
            return reject(Reason.INVALID_INPUT, Problem.INTERNAL, text)
        case _:
            return Crashed(f"{type(error).__name__}: {error}")


def give_up(lost_runs: int) -> Rejected:
    """The work took its worker down too often."""
    text = f"{lost_runs} runs were lost: the worker died or fell silent each time."
    return reject(Reason.BACKOFF_LIMIT_EXCEEDED, Problem.WORKER_LOST, text)


def reject(reason: Reason, problem: Problem, message: str) -> Rejected:
    return Rejected(reason, problem, message[:_MAX_MESSAGE_CHARACTERS])


def hand_back(reason: Reason, error: Retryable) -> HandedBack:
    delay_seconds = max(HANDOVER_DELAY_SECONDS, error.delay_seconds)
    return HandedBack(reason, str(error)[:_MAX_MESSAGE_CHARACTERS], delay_seconds)
