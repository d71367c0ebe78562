"""How the uploads stand in the OpenAPI document: their bodies, which the framework does not parse,
and the problems they can answer. No behaviour here."""

from dataclasses import dataclass
from enum import StrEnum

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.http import schemas
from parlance.api.http.problems import MEDIA_TYPE
from parlance.contracts.calls import ChannelPolicy, Priority

ADD_CALLS_DESCRIPTION = """\
Send audio as a file (`call`) or as an address (`audio_url`); it is stored, and queued for
transcription and analysis. MP3, WAV, M4A, WebM, MP4, and also FLAC, Ogg/Opus, AIFF. At most
524,288,000 bytes (500 MB) and 12 hours; what a file is, its bytes decide, not its name.

The answer means that the audio is durable and the call is recorded: it will be processed whatever
fails afterwards. `warnings` is there only when there are any.
"""
ADD_CALL_URL_DESCRIPTION = """\
The address of the audio as JSON. It is downloaded and stored within the request (up to two
minutes), then queued. Only addresses that everyone can reach are fetched, redirects included, and
those that the operator of this installation has listed.
"""


def _spec(description: str) -> ResponseSpec:
    return ResponseSpec(
        data_container=schemas.Problem,
        description=description,
        media_type=MEDIA_TYPE,
        generate_examples=False,
    )


READ_PROBLEMS = {
    401: _spec("No valid API key"),
    403: _spec("The key lacks the scope"),
    404: _spec("There is no such call in the company"),
    410: _spec("The call was deleted"),
    503: _spec("A part of the service is away; see Retry-After"),
}
CANCEL_PROBLEMS = {409: _spec("The call has ended already")}
LIST_PROBLEMS = {
    401: _spec("No valid API key"),
    403: _spec("The key lacks the scope"),
    422: _spec("A parameter is wrong"),
    503: _spec("A part of the service is away; see Retry-After"),
}
UPLOAD_PROBLEMS = {
    400: _spec("The body is malformed, a field is repeated, or two different keys were given"),
    401: _spec("No valid API key"),
    403: _spec("The key lacks the scope `calls:write`"),
    409: _spec("The company has uploaded the same audio before: `existing_call_id`"),
    413: _spec("Too large: `max_bytes`"),
    415: _spec("Not audio, or a codec that is not supported"),
    422: _spec("Fields are wrong, the audio is unusable, or the address may not be fetched"),
    502: _spec("The address could not be reached"),
    503: _spec("A part of the service is away; nothing was stored; see Retry-After"),
    504: _spec("The address was too slow"),
}

_KEY = Schema(
    type=OpenAPIType.STRING,
    description="API key of the company; may stand in `X-Api-Key` or `Authorization` instead.",
)
_URL = Schema(
    type=OpenAPIType.STRING,
    format=OpenAPIFormat.URL,
    max_length=2048,
    description="Address of the audio, http or https.",
)
_ENUMS: dict[str, type[StrEnum]] = {"channels": ChannelPolicy, "priority": Priority}
_TYPES = {
    "metadata": OpenAPIType.OBJECT,
    "redact_pii": OpenAPIType.BOOLEAN,
    "allow_duplicate": OpenAPIType.BOOLEAN,
}
_FORMATS = {"user_id": OpenAPIFormat.UUID, "recorded_at": OpenAPIFormat.DATE_TIME}


def _field_schemas() -> dict[str, Schema]:
    return {
        name: Schema(
            type=_TYPES.get(name, OpenAPIType.STRING),
            format=_FORMATS.get(name),
            enum=[item.value for item in _ENUMS[name]] if name in _ENUMS else None,
            description=field.description,
        )
        for name, field in CallFields.model_fields.items()
    }


@dataclass
class AddCallsOperation(Operation):
    """The form."""

    def __post_init__(self) -> None:
        file = Schema(
            type=OpenAPIType.STRING,
            format=OpenAPIFormat.BINARY,
            description="The file. Needed unless `audio_url` is given.",
        )
        schema = Schema(
            type=OpenAPIType.OBJECT,
            properties={"api_key": _KEY, "call": file, "audio_url": _URL, **_field_schemas()},
        )
        self.request_body = RequestBody(
            required=True, content={"multipart/form-data": OpenAPIMediaType(schema=schema)}
        )


@dataclass
class AddCallUrlOperation(Operation):
    """The JSON body."""

    def __post_init__(self) -> None:
        schema = Schema(
            type=OpenAPIType.OBJECT,
            required=["call_url"],
            properties={"api_key": _KEY, "call_url": _URL, "audio_url": _URL, **_field_schemas()},
        )
        example = Example(
            value={
                "api_key": "YOUR_COMPANY_API_KEY",
                "call_url": "https://example.com/recording.mp3",
                "customer_name": "Acme Corp",
            }
        )
        media = OpenAPIMediaType(schema=schema, examples={"recording": example})
        self.request_body = RequestBody(required=True, content={"application/json": media})
