"""Conditions of a job: reading them, and setting one as the API conventions want it."""

from datetime import datetime

from parlance.contracts.crs.meta import Condition, ConditionType, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJobStatus

_MAX_REASON_LENGTH = 64
_MAX_MESSAGE_LENGTH = 1024


def find_condition(status: CallJobStatus, type_: ConditionType) -> Condition | None:
    return next((c for c in status.conditions if c.type == type_), None)


def is_true(status: CallJobStatus, type_: ConditionType) -> bool:
    condition = find_condition(status, type_)
    return condition is not None and condition.status == "True"


def is_terminal(status: CallJobStatus) -> bool:
    return is_true(status, ConditionType.COMPLETE) or is_true(status, ConditionType.FAILED)


def is_dispatched(status: CallJobStatus) -> bool:
    return is_true(status, ConditionType.DISPATCHED)


def is_suspended(status: CallJobStatus) -> bool:
    return is_true(status, ConditionType.SUSPENDED)


def set_condition(
    status: CallJobStatus,
    type_: ConditionType,
    value: bool,
    reason: Reason | str,
    message: str,
    *,
    now: datetime,
    generation: int,
) -> CallJobStatus:
    """Status with the condition at the end of the list, where `kubectl get -o wide` looks.

    `lastTransitionTime` moves only when the condition's status does.
    """
    text = "True" if value else "False"
    known = find_condition(status, type_)
    is_same = known is not None and known.status == text
    condition = Condition(
        type=type_,
        status=text,
        reason=str(reason)[:_MAX_REASON_LENGTH],
        message=message[:_MAX_MESSAGE_LENGTH],
        last_transition_time=known.last_transition_time if known and is_same else now,
        observed_generation=generation,
    )
    others = tuple(c for c in status.conditions if c.type != type_)
    return status.model_copy(update={"conditions": (*others, condition)})
