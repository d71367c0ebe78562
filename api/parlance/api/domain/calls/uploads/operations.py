"""How the uploads stand in the OpenAPI document: their bodies, which the framework does not parse,
and the problems they can answer. No behaviour here."""

from litestar.openapi.spec import Example
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.http import operations
from parlance.api.http.operations import JsonSchema

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

UPLOAD_PROBLEMS = operations.build_problems(
    {
        400: "The body is malformed, a field is repeated, or two different keys were given",
        401: "No valid API key",
        403: "The key lacks the scope `calls:write`",
        409: "The company has uploaded the same audio before: `existing_call_id`",
        413: "Too large: `max_bytes`",
        415: "Not audio, or a codec that is not supported",
        422: "Fields are wrong, the audio is unusable, or the address may not be fetched",
        429: "The company has too many uploads at once; see Retry-After",
        502: "The address could not be reached",
        503: "A part of the service is away; nothing was stored; see Retry-After",
        504: "The address was too slow",
    }
)

_KEY: JsonSchema = {
    "type": "string",
    "description": "API key of the company; may stand in `X-Api-Key` or `Authorization` instead.",
}
_FILE: JsonSchema = operations.BINARY | {
    "description": "The file. Needed unless `audio_url` is given."
}
_URL: JsonSchema = {
    "type": "string",
    "format": "url",
    "maxLength": 2048,
    "description": "Address of the audio, http or https.",
}
_FIELDS = operations.build_properties(CallFields)

AddCallsOperation = operations.build_operation(
    body=operations.build_body(
        "multipart/form-data",
        {
            "type": "object",
            "properties": {"api_key": _KEY, "call": _FILE, "audio_url": _URL, **_FIELDS},
        },
    )
)
AddCallUrlOperation = operations.build_operation(
    body=operations.build_body(
        "application/json",
        {
            "type": "object",
            "required": ["call_url"],
            "properties": {"api_key": _KEY, "call_url": _URL, "audio_url": _URL, **_FIELDS},
        },
        examples={
            "recording": Example(
                value={
                    "api_key": "YOUR_COMPANY_API_KEY",
                    "call_url": "https://example.com/recording.mp3",
                    "customer_name": "Acme Corp",
                }
            )
        },
    )
)
