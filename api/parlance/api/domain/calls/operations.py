"""How the operations of calls stand in the OpenAPI document. No behaviour here."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from parlance.api.domain.calls import audio
from parlance.api.domain.calls.exports import Format
from parlance.api.http import operations

READ_PROBLEMS = operations.KEYED_PROBLEMS | operations.build_problems(
    {
        404: "There is no such call in the company",
        410: "The call was deleted",
    }
)
LIST_PROBLEMS = operations.KEYED_PROBLEMS | operations.WRONG_PARAMETER
GET_PROBLEMS = READ_PROBLEMS | operations.WRONG_PARAMETER
RESULT_PROBLEMS = READ_PROBLEMS | operations.build_problems(
    {409: "There is no result yet; see Retry-After"}
)
TRANSCRIPT_PROBLEMS = RESULT_PROBLEMS | operations.WRONG_PARAMETER
CANCEL_PROBLEMS = READ_PROBLEMS | operations.build_problems({409: "The call has ended already"})

_AUDIO_TYPES = sorted({*audio.PLAYED_TYPES, audio.UNKNOWN_TYPE})
_RANGE = OpenAPIHeader(description="Which bytes", schema=Schema(type=OpenAPIType.STRING))


def _build_audio(description: str, *, is_part: bool) -> OpenAPIResponse:
    return OpenAPIResponse(
        description=description,
        content=operations.build_contents(_AUDIO_TYPES, operations.BINARY),
        headers={"Content-Range": _RANGE} if is_part else None,
    )


AudioOperation = operations.build_operation(
    responses={
        200: _build_audio("The whole file", is_part=False),
        206: _build_audio("The part that `Range` asks for", is_part=True),
        416: _build_audio("`Range` lies behind the end", is_part=True),
    }
)
GetOperation = operations.build_operation(
    responses={304: OpenAPIResponse(description="`If-None-Match` names the present state")}
)
FollowOperation = operations.build_operation(
    responses={204: OpenAPIResponse(description="The client has seen the end of the call")}
)
DeleteOperation = operations.build_operation(
    responses={204: OpenAPIResponse(description="The call is deleted")}
)


@dataclass
class TranscriptOperation(Operation):
    """One media type for each format."""

    def __post_init__(self) -> None:
        assert self.responses is not None, "the framework has found the JSON"
        answer = self.responses["200"]
        assert isinstance(answer, OpenAPIResponse)
        texts = [item.media_type for item in Format if item is not Format.JSON]
        answer.content = (answer.content or {}) | operations.build_contents(texts, operations.TEXT)
