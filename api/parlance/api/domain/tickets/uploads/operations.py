"""How the upload of tickets stands in the OpenAPI document: its body, which the framework does not
parse, and its answers. No behaviour here."""

from typing import Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from parlance.api.domain.tickets.input import bounds
from parlance.api.domain.tickets.input.fields import TicketFields
from parlance.api.domain.tickets.input.requests import ITEMS_FIELD
from parlance.api.domain.tickets.uploads.answers import TicketAccepted, TicketsAccepted
from parlance.api.http import operations
from parlance.api.http.operations import JsonSchema
from parlance.api.identity.guard import KEY_FIELD

DESCRIPTION = f"""\
Send a conversation as `messages`, or as one pasted `text`; it is stored, and queued for analysis.
One ticket is the body itself; up to {bounds.MAX_ITEMS:,} stand in `tickets`.

**Once.** A ticket whose `external_id` is known with the same content is `unchanged`: the same
`ticket_id`, no new analysis. With other content it is a conflict (409). `mode=upsert` replaces the
ticket then, also when it was appended to or changed since the same content was sent; `mode=append`
adds the messages that are new (by their `id`, otherwise by author, time and text) and leaves the
other fields as they are; both are analysed again, under the same id.

**Many.** Each ticket is checked by itself; a wrong one stops no other. The status says whether all
(200), some (207) or none (422) were accepted, `results` what became of each, in the order sent.

**Times** are RFC 3339 or epoch numbers of 10 or 13 digits. Those without a zone are read in
the zone of the company. Messages are ordered by them; one without a time stays behind the one
before.

**Texts** may be HTML; they are analysed and shown as plain text, and what was sent is kept. What a
mail quotes is shown and left out of the analysis.

**Bodies** have at most {bounds.MAX_BODY_BYTES:,} bytes. Send the key in a header with more than
{bounds.MAX_UNKEYED_BODY_BYTES:,}: only few such bodies are read at once that have the key inside.
They hold at most {bounds.MAX_BRACKETS:,} objects and arrays and {bounds.MAX_COMMAS:,} commas; with
the key inside {bounds.MAX_UNKEYED_BRACKETS:,} and {bounds.MAX_UNKEYED_COMMAS:,}.

Unknown fields are answered with a warning, with `strict=true` as errors.
"""


_EITHER: Any = TicketAccepted | TicketsAccepted
ANSWERS = {
    200: ResponseSpec(
        data_container=_EITHER,
        description="Updated or unchanged; or all of many were accepted",
        generate_examples=False,
    ),
    201: ResponseSpec(
        data_container=TicketAccepted,
        description="Stored and queued for analysis",
        generate_examples=False,
    ),
    207: ResponseSpec(
        data_container=TicketsAccepted,
        description="Some of many were accepted",
        generate_examples=False,
    ),
} | operations.build_problems(
    {
        400: "The body is malformed, a field is repeated, or two different keys were given",
        401: "No valid API key",
        403: "The key lacks the scope `tickets:write`",
        409: "The `external_id` is known with other content: `existing_ticket_id`",
        413: "Too large, or too many tickets or messages; the limit stands in the answer",
        415: "Not JSON",
        422: "Fields are wrong, or none of many was accepted; then `results` and counts too",
        429: "The company has too many long requests at once; see Retry-After",
        503: "A part of the service is away or busy; nothing was stored; see Retry-After",
    }
)

_KEY: JsonSchema = {
    "type": "string",
    "description": "API key of the company; may stand in `X-Api-Key` or `Authorization` instead.",
}
_FIELDS = operations.build_properties(TicketFields)
_TICKET: JsonSchema = {"type": "object", "properties": _FIELDS}
_ITEMS: JsonSchema = {
    "type": "array",
    "minItems": 1,
    "maxItems": bounds.MAX_ITEMS,
    "description": "Many tickets; no other field stands beside it then, but the key.",
    "items": _TICKET,
}
_CONVERSATION = [
    {
        "role": "customer",
        "author": "Ada",
        "text": "Where is my refund?",
        "created_at": "2026-03-01T10:00:00+01:00",
    },
    {
        "role": "agent",
        "author": "Bo",
        "text": "It was sent on Monday.",
        "created_at": "2026-03-01T10:05:00+01:00",
    },
]
_EXAMPLE = {
    "external_id": "Z-1001",
    "subject": "Refund",
    "channel": "email",
    "customer": {"name": "Ada", "email": "ada@example.com"},
    "extension_id": "EXT-4",
    "messages": _CONVERSATION,
}

AddTicketsOperation = operations.build_operation(
    body=operations.build_body(
        "application/json",
        {
            "type": "object",
            "properties": {KEY_FIELD: _KEY, ITEMS_FIELD: _ITEMS, **_FIELDS},
        },
        examples={
            "one": Example(summary="One ticket", value=_EXAMPLE),
            "many": Example(
                summary="Many tickets",
                value={
                    ITEMS_FIELD: [_EXAMPLE, {"external_id": "Z-1002", "messages": _CONVERSATION}]
                },
            ),
            "pasted": Example(
                summary="A pasted conversation",
                value={"text": "Agent: Good morning.\nCustomer: Where is my parcel?"},
            ),
        },
    )
)
