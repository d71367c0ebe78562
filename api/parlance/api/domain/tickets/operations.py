"""How the operations of tickets stand in the OpenAPI document. No behaviour here."""

from litestar.openapi.spec import OpenAPIResponse, RequestBody
from parlance.api.domain.tickets.input.fields import TicketFields
from parlance.api.http import operations
from parlance.api.identity.guard import KEY_FIELD

READ_PROBLEMS = operations.KEYED_PROBLEMS | operations.build_problems(
    {
        404: "There is no such ticket in the company",
        410: "The ticket was deleted",
    }
)
LIST_PROBLEMS = operations.KEYED_PROBLEMS | operations.WRONG_PARAMETER
GET_PROBLEMS = READ_PROBLEMS | operations.WRONG_PARAMETER
RESULT_PROBLEMS = READ_PROBLEMS | operations.build_problems(
    {409: "There is no result yet; see Retry-After"}
)
REANALYZE_PROBLEMS = READ_PROBLEMS | operations.build_problems(
    {409: "The last analysis has not ended yet; see Retry-After"}
)
CHANGE_PROBLEMS = GET_PROBLEMS | operations.build_problems(
    {
        412: "Somebody else has changed the ticket since",
        413: "The body is too large",
        415: "The body is no JSON",
    }
)
PATCH_TYPES = ("application/json", "application/merge-patch+json")

_NULLABLE_NAMES = ("subject", "status", "tags", "customer", "metadata")
_AGENT_NAMES = ("user_id", "agent_email", "extension_id")
_PROPERTIES = operations.build_properties(TicketFields)
_AGENT = {name: _PROPERTIES[name] for name in _AGENT_NAMES}
_PATCH: operations.JsonSchema = {
    "type": "object",
    "properties": {
        KEY_FIELD: {
            "type": "string",
            "description": "API key of the company; may stand in a header instead.",
        },
        **{name: {"anyOf": [_PROPERTIES[name], {"type": "null"}]} for name in _NULLABLE_NAMES},
        "agent": {
            "anyOf": [
                {"type": "object", "properties": _AGENT, "minProperties": 1},
                {"type": "null"},
            ],
            "description": "By one of its ids; null for nobody.",
        },
    },
}
ChangeOperation = operations.build_operation(
    body=RequestBody(required=True, content=operations.build_contents(PATCH_TYPES, _PATCH))
)
GetOperation = operations.build_operation(
    responses={304: OpenAPIResponse(description="`If-None-Match` names the present state")}
)
FollowOperation = operations.build_operation(
    responses={204: OpenAPIResponse(description="The client has seen the end of the analysis")}
)
DeleteOperation = operations.build_operation(
    responses={204: OpenAPIResponse(description="The ticket is deleted")}
)
