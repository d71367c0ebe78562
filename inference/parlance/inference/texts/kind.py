"""Tickets as the engine sees them: their task, their events, and what their errors lead to."""

from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.engine import endings
from parlance.inference.engine.endings import Ending
from parlance.inference.engine.kinds import Run
from parlance.inference.texts.errors import DocumentUnusable
from parlance.inference.texts.task import TextTools, TicketTask
from parlance.runtime.errors import ObjectNotFound


class TicketKind:
    """The `engine.kinds.WorkKind` of tickets."""

    dispatch_type = TicketDispatch
    events = ticket_events.EVENTS
    starts_anew = True
    first_sign_seconds = 2.0
    """Most analyses end sooner; of one that does not, people see that it has begun."""

    def __init__(self, tools: TextTools) -> None:
        self._tools = tools

    def build_task(self, run: Run[TicketDispatch]) -> TicketTask:
        return TicketTask(self._tools, run)

    def find_problem(self) -> None:
        """Nothing that could be away but the store and the bus."""

    @staticmethod
    def plan_ending(error: BaseException) -> Ending | None:
        match error:
            case DocumentUnusable():
                return endings.reject(Reason.INVALID_INPUT, error.problem, str(error))
            case ObjectNotFound():
                text = "The conversation is not in the object store."
                return endings.reject(Reason.INPUT_NOT_FOUND, Problem.INPUT_NOT_FOUND, text)
            case _:
                return None
