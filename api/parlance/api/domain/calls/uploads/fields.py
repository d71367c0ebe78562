"""The fields of a new call: what a client may say, checked all at once.

The same for the form of `add-calls` and the JSON of `addcallurl`.
"""

import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from parlance.api.http import fields, json_body
from parlance.api.http.fields import MAX_METADATA_BYTES, Id, Language, Moment, Name
from parlance.contracts.calls import ChannelPolicy, Priority
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
)


class Direction(StrEnum):
    """Who called whom."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


def _parse_metadata(value: object) -> object:
    """A form carries it as JSON text."""
    is_text = isinstance(value, str)
    text = str(value) if is_text else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise ValueError(f"may have at most {MAX_METADATA_BYTES} bytes")
    return json_body.parse_json(text) if is_text else value


def _refuse_redaction(is_wanted: bool) -> bool:
    """Better no call than a transcript that holds what was to be left out. Raises ValueError."""
    if is_wanted:
        raise ValueError("is not available yet: nothing would be left out of the transcript")
    return is_wanted


class CallFields(BaseModel):
    """Everything beside the audio itself."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    customer_name: Name | None = None
    """Display name of the customer."""
    user_id: uuid.UUID | None = None
    """The agent. Decides when `extension_id` is given too."""
    extension_id: Id | None = None
    """The agent's id at the telephone system."""
    order_id: Id | None = None
    """External reference, kept as `worker_id`."""
    language: Language = "auto"
    """BCP-47 tag, or `auto`."""
    channels: ChannelPolicy = ChannelPolicy.AUTO
    """How channels map to speakers."""
    priority: Priority = Priority.STANDARD
    """Which queue the call waits in."""
    external_id: Id | None = None
    """The client's own id of the call."""
    recorded_at: Moment | None = None
    """When the call took place, with a time zone."""
    direction: Direction | None = None
    metadata: Annotated[dict[str, JsonValue], BeforeValidator(_parse_metadata)] = Field(
        default_factory=dict
    )
    """Anything else, given back as it is; a JSON object of at most 16 KiB."""
    redact_pii: Annotated[bool, AfterValidator(_refuse_redaction)] = False
    """Leave personal data out of the transcript. Not available yet: `true` is refused."""
    allow_duplicate: bool = False
    """Accept audio that the company has uploaded before."""


NAMES = frozenset(CallFields.model_fields)


def parse_fields(values: Mapping[str, Any]) -> CallFields:
    """Raises Refused with an error for every wrong field."""
    return fields.parse_model(CallFields, values)
