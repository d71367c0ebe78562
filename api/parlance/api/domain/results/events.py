"""Reads the data of an event that is to be recorded. Called by the appliers of each kind."""

from typing import TypeVar

from parlance.api.db import text
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.values import Value
from parlance.runtime.errors import Permanent
from pydantic import ValidationError
from pydantic_core import to_json

_Data = TypeVar("_Data", bound=Value)


class MalformedEvent(Permanent):
    """The data of an event do not fit its type."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(f"event {envelope.id} does not fit {envelope.type}")


def parse_data(envelope: Envelope, kind: type[_Data]) -> _Data:
    """Without NUL, which Postgres does not store. Raises MalformedEvent."""
    try:
        return kind.model_validate_json(text.drop_nul(to_json(envelope.data)))
    except ValidationError as exc:
        raise MalformedEvent(envelope) from exc
