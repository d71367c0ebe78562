"""The fields of a ticket: what a client may say, checked all at once."""

import uuid
from typing import Annotated

import msgspec
from parlance.api.domain.company.agents import AgentIds
from parlance.api.domain.tickets.input import bounds
from parlance.api.domain.tickets.input.times import Time
from parlance.api.http.fields import MAX_METADATA_BYTES, Id, Language, Name
from parlance.contracts.calls import Role
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StringConstraints,
)


def _drop_blank(text: str | None) -> str | None:
    return text or None


def _check_metadata(value: object) -> object:
    if len(msgspec.json.encode(value)) > MAX_METADATA_BYTES:
        raise ValueError(f"may have at most {MAX_METADATA_BYTES} bytes")
    return value


def _drop_repeated(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


_Text = Annotated[str, StringConstraints(strip_whitespace=True)]
_Word = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=bounds.MAX_WORD_CHARACTERS),
]
_Tag = Annotated[_Word, StringConstraints(min_length=1)]
_Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_lower=True, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$"
    ),
]
OptionalId = Annotated[Id | None, AfterValidator(_drop_blank)]
OptionalWord = Annotated[_Word | None, AfterValidator(_drop_blank)]

_CONFIG = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class MessageFields(BaseModel):
    """One message, as it is sent."""

    model_config = _CONFIG

    id: Id | None = None
    """The client's own id, by which `mode=append` knows it again."""
    role: Role | None = None
    """Who writes."""
    author: Name | None = None
    """Display name."""
    text: str
    """Plain text or HTML; at most 64 KiB."""
    created_at: Time | None = None
    """RFC 3339, or an epoch number of 10 or 13 digits."""


class CustomerFields(BaseModel):
    """Who asks."""

    model_config = _CONFIG

    external_id: Id | None = None
    name: Name | None = None
    email: Annotated[_Text, Field(max_length=320)] | None = None
    phone: Annotated[_Text, Field(max_length=64)] | None = None


class TicketFields(BaseModel):
    """One ticket, as it is sent. Needs `messages` or `text`, not both (`parsing` checks it)."""

    model_config = _CONFIG

    external_id: OptionalId = None
    """The client's own id. A ticket with the same one is not made twice."""
    subject: Annotated[
        Annotated[_Text, Field(max_length=bounds.MAX_SUBJECT_CHARACTERS)] | None,
        AfterValidator(_drop_blank),
    ] = None
    channel: OptionalWord = None
    """Such as `email` or `chat`."""
    status: OptionalWord = None
    """The help desk's word."""
    priority: OptionalWord = None
    """The help desk's word."""
    customer: CustomerFields | None = None
    user_id: uuid.UUID | None = None
    """The agent. Decides over the two below."""
    agent_email: _Email | None = None
    """The agent's address. Decides when `extension_id` is given too."""
    extension_id: OptionalId = None
    """The agent's id at the telephone system."""
    tags: Annotated[
        list[_Tag], Field(max_length=bounds.MAX_TAGS), AfterValidator(_drop_repeated)
    ] = Field(default_factory=list)
    created_at: Time | None = None
    """When the conversation began. RFC 3339, or an epoch number of 10 or 13 digits."""
    language: Language = "auto"
    """BCP-47 tag, or `auto`."""
    metadata: Annotated[dict[str, JsonValue], BeforeValidator(_check_metadata)] = Field(
        default_factory=dict
    )
    """Anything else, given back as it is; a JSON object of at most 16 KiB."""
    redact_pii: StrictBool = False
    """Also make a text in which personal data is blacked out."""
    messages: list[MessageFields] | None = None
    """The conversation, at most 2,000 messages."""
    text: str | None = None
    """The conversation as one pasted text."""

    @property
    def agent_ids(self) -> AgentIds:
        return AgentIds(self.user_id, self.agent_email, self.extension_id)


TICKET_NAMES = frozenset(TicketFields.model_fields)
MESSAGE_NAMES = frozenset(MessageFields.model_fields)
CUSTOMER_NAMES = frozenset(CustomerFields.model_fields)
