"""How results are answered, whatever they are of."""

from typing import Any

from litestar.serialization import encode_json
from parlance.api.http.errors import Refused
from parlance.contracts.calls import CallStatus
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketState
from pydantic import BaseModel

_RETRY_SECONDS = 2


def check_completed(state: CallStatus | TicketState, what: str) -> None:
    """Raises Refused: 409 while there is no result yet, 404 when there will be none. `what` is what
    has the state."""
    if state in (CallStatus.COMPLETED, TicketState.COMPLETED):
        return
    if state.is_terminal:
        raise Refused(Problem.NOT_FOUND, f"The {what} is {state}; it has no result.")
    raise Refused(Problem.NOT_READY, headers={"Retry-After": str(_RETRY_SECONDS)})


def encode(value: Any) -> bytes:
    """JSON of a schema, with contract values in it as their models write them."""
    return encode_json(value, _encode)


def _encode(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)
