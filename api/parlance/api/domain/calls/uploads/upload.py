"""An upload: one request for a new call, as it was read. `reading` makes it, `accepting` a call."""

from dataclasses import dataclass

from parlance.api.db.tables import CallSource
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.domain.calls.uploads.intake import Holding
from parlance.api.http.idempotency import Claim
from parlance.api.identity.principal import Principal
from parlance.contracts import objects
from parlance.contracts.ids import CallId
from parlance.media.sniff import Container
from pydantic import JsonValue

FILE_FIELD = "call"
URL_FIELD = "audio_url"
JSON_URL_FIELDS = ("call_url", URL_FIELD)


@dataclass(frozen=True, slots=True)
class Upload:
    """One request for a new call, as it was read. Its row and its answer come from it."""

    call_id: CallId
    principal: Principal
    fields: CallFields
    warnings: list[dict[str, JsonValue]]
    holding: Holding
    """The file, if it came with the request; where it comes from `url`, once it is fetched."""
    url: str | None
    audio_field: str
    """Which field to blame for the audio."""
    file_name: str | None
    claim: Claim | None
    base_url: str
    started_seconds: float
    """Monotonic time of the request."""

    @property
    def source(self) -> CallSource:
        return CallSource.UPLOAD if self.url is None else CallSource.URL

    def format_key(self, container: Container) -> str:
        return format_key(self.call_id, self.principal, container)


def format_key(call_id: CallId, principal: Principal | None, container: Container) -> str:
    """Where the file goes: to its company, or aside until the key is known and checked."""
    if principal is None:
        return objects.format_staging_key(call_id)
    return objects.format_audio_key(principal.company_slug, call_id, container.extension)
