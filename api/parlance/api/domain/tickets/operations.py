"""How the operations of tickets stand in the OpenAPI document. No behaviour here."""

from litestar.openapi.spec import OpenAPIResponse
from parlance.api.http import operations

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
GetOperation = operations.build_operation(
    responses={304: OpenAPIResponse(description="`If-None-Match` names the present state")}
)
FollowOperation = operations.build_operation(
    responses={204: OpenAPIResponse(description="The client has seen the end of the analysis")}
)
DeleteOperation = operations.build_operation(
    responses={204: OpenAPIResponse(description="The ticket is deleted")}
)
