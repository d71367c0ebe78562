"""Calls as the engine sees them: their task, their events, and what their errors lead to."""

from collections.abc import Callable

from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import CallDispatch
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.asr.errors import AsrFaulted, AsrRejected, AsrUnavailable
from parlance.inference.calls.errors import FetchFailed, InputRejected, ModelChanged, OutOfTime
from parlance.inference.calls.task import CallTask, Tools
from parlance.inference.engine import endings
from parlance.inference.engine.endings import Crashed, Ending
from parlance.inference.engine.kinds import Run
from parlance.inference.engine.signs import QUIET_SECONDS
from parlance.media.errors import MediaError
from parlance.runtime.errors import ObjectNotFound


class CallKind:
    """The `engine.kinds.WorkKind` of calls."""

    dispatch_type = CallDispatch
    events = call_events.EVENTS
    starts_anew = False
    first_sign_seconds = QUIET_SECONDS

    def __init__(self, tools: Tools, *, find_problem: Callable[[], str | None]) -> None:
        """`find_problem` says why no audio can be read."""
        self._tools = tools
        self._find_problem = find_problem

    def find_problem(self) -> str | None:
        return self._find_problem()

    def build_task(self, run: Run[CallDispatch]) -> CallTask:
        return CallTask(self._tools, run)

    @staticmethod
    def plan_ending(error: BaseException) -> Ending | None:
        match error:
            case MediaError() if not error.retryable:
                return endings.reject(Reason.UNDECODABLE_AUDIO, error.problem, str(error))
            case InputRejected() | FetchFailed():
                return endings.reject(Reason.INVALID_INPUT, error.problem, str(error))
            case OutOfTime():
                problem = Problem.DEADLINE_EXCEEDED
                return endings.reject(Reason.DEADLINE_EXCEEDED, problem, str(error))
            case ObjectNotFound():
                text = "The audio is not in the object store."
                return endings.reject(Reason.INPUT_NOT_FOUND, Problem.INPUT_NOT_FOUND, text)
            case AsrRejected():
                text = f"The speech model refused a window: {error.detail[:200]}"
                return endings.reject(Reason.INFERENCE_FAILED, Problem.INFERENCE_FAILED, text)
            case AsrFaulted():
                # Not handed back: if this very window kills the model, the count of lost runs
                # ends it.
                return Crashed(str(error))
            case AsrUnavailable() | ModelChanged():
                return endings.hand_back(Reason.WAITING_FOR_MODEL, error)
            case _:
                return None
