"""Every way a run of a call can end, and which error leads to which. Pure; used by `runner`.

ending       event            message
Finished     (analyzed)       ack       the work is done and published
Settled      -                ack       there was nothing to do: an older message, or a copy
Stopped      cancelled        ack       somebody asked for it
Rejected     failed           term      trying again gives the same answer
HandedBack   retrying         nak       something else is away; another run goes on from here
Crashed      -                nak       nobody foresaw this; counts as a lost run
"""

from dataclasses import dataclass

from parlance.contracts.bus.calls import Cancelled, Failed, Retrying
from parlance.contracts.calls import Stage
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.asr.errors import AsrFaulted, AsrRejected, AsrUnavailable
from parlance.inference.worker.errors import FetchFailed, InputRejected, ModelChanged
from parlance.media.errors import MediaError
from parlance.runtime.errors import (
    BusUnavailable,
    ObjectNotFound,
    Permanent,
    Retryable,
    StoreUnavailable,
)

CRASH_DELAY_SECONDS = 5.0
HANDOVER_DELAY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    pass


@dataclass(frozen=True, slots=True)
class Settled:
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    event: Cancelled


@dataclass(frozen=True, slots=True)
class Rejected:
    event: Failed


@dataclass(frozen=True, slots=True)
class HandedBack:
    reason: Reason
    message: str
    delay_seconds: float = HANDOVER_DELAY_SECONDS

    def build_event(self, attempt: int, deliveries: int) -> Retrying:
        """The attempt stays the same: being handed back is nobody's failure."""
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


def plan_ending(error: BaseException) -> Ending:
    """What follows from an error of the work. Texts are for people and name no internals."""
    match error:
        case BaseExceptionGroup():
            # Several windows may fail at once; what says most about the call decides.
            endings = [plan_ending(single) for single in error.exceptions]
            return min(endings, key=lambda ending: _WEIGHT.index(type(ending)))
        case MediaError() if not error.retryable:
            return _reject(Reason.UNDECODABLE_AUDIO, error.problem, str(error))
        case InputRejected() | FetchFailed():
            return _reject(Reason.INVALID_INPUT, error.problem, str(error))
        case ObjectNotFound():
            text = "The audio is not in the object store."
            return _reject(Reason.INPUT_NOT_FOUND, Problem.INPUT_NOT_FOUND, text)
        case AsrRejected():
            text = f"The speech model refused a window: {error.detail[:200]}"
            return _reject(Reason.INFERENCE_FAILED, Problem.INFERENCE_FAILED, text)
        case AsrFaulted():
            # Not handed back: if this very window kills the model, the count of lost runs ends it.
            return Crashed(str(error))
        case AsrUnavailable() | ModelChanged():
            return _hand_back(Reason.WAITING_FOR_MODEL, error)
        case BusUnavailable():
            return _hand_back(Reason.BUS_UNAVAILABLE, error)
        case StoreUnavailable() | Retryable():
            return _hand_back(Reason.RETRYING, error)
        case Permanent():
            return _reject(Reason.INVALID_INPUT, Problem.INTERNAL, "The job cannot be carried out.")
        case _:
            return Crashed(f"{type(error).__name__}: {error}")


def give_up(lost_runs: int) -> Rejected:
    """The call took its worker down too often."""
    text = f"{lost_runs} runs of this call were lost: the worker died or fell silent each time."
    return _reject(Reason.BACKOFF_LIMIT_EXCEEDED, Problem.WORKER_LOST, text)


def _reject(reason: Reason, problem: Problem, message: str) -> Rejected:
    return Rejected(
        Failed(
            reason=reason,
            code=problem.code,
            message=message[:1000],
            stage=Stage.TRANSCRIBE,
            retryable=problem.retryable,
        )
    )


def _hand_back(reason: Reason, error: Retryable) -> HandedBack:
    delay_seconds = max(HANDOVER_DELAY_SECONDS, error.delay_seconds)
    return HandedBack(reason, str(error)[:1000], delay_seconds)
