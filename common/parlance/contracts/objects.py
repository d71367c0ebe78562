"""Keys in the object store: one formatter for each kind of object, nothing else builds a key.

Everything of one call lies below `<company>/calls/<call>/`, so that deleting a call is one prefix;
other kinds of work get a folder of their own beside it. Artefacts carry their SHA-256 in the key: a
stale worker can never overwrite a newer result.
"""

import re
from dataclasses import dataclass

from .bus.subjects import Kind
from .ids import CallId, CompanySlug, TicketId

STAGING_PREFIX = "_staging/"
"""Uploads whose company is not known yet; the janitor empties what is older than an hour. No slug
begins with `_`, so it is no company's folder."""
OLD_STAGING_PREFIX = "staging/"
"""Where earlier versions staged uploads. It may be the folder of a company called `staging`."""
PROBE_KEY = f"{STAGING_PREFIX}probe"
"""Never written; asking for it shows whether the store answers."""

_FOLDER_OF = {Kind.CALL: "calls", Kind.TICKET: "tickets"}
_KIND_OF = {folder: kind for kind, folder in _FOLDER_OF.items()}
_UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_OF_ATTEMPT = re.compile(r"^[^/]+/tickets/[^/]+/(?:document|insights)-(\d{1,9})-[0-9a-f]+\.json$")
_OLD_STAGED = re.compile(rf"{OLD_STAGING_PREFIX}(?:{_UUID7}|part-[0-9a-f]{{32}})")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an object is: a call, a ticket... of a company."""

    company: CompanySlug
    kind: Kind
    subject_id: str

    @property
    def prefix(self) -> str:
        """Everything of the owner lies below it."""
        return f"{self.company}/{_FOLDER_OF[self.kind]}/{self.subject_id}/"


def format_call_prefix(company: CompanySlug, call_id: CallId) -> str:
    return Owner(company, Kind.CALL, call_id).prefix


def format_audio_key(company: CompanySlug, call_id: CallId, extension: str) -> str:
    return f"{format_call_prefix(company, call_id)}audio.{extension}"


def format_staging_key(call_id: CallId) -> str:
    return f"{STAGING_PREFIX}{call_id}"


def is_old_staging_key(key: str) -> bool:
    """Whether an earlier version staged this: the id of a call or a part of a file, directly in
    the old folder. What a company called `staging` has there lies deeper."""
    return _OLD_STAGED.fullmatch(key) is not None


def format_trackers_key(company: CompanySlug) -> str:
    """The company's tracker rules (`analysis.insights.TrackerRules`), as the workers read them."""
    return f"{company}/settings/trackers.json"


def format_transcript_key(company: CompanySlug, call_id: CallId, sha256: str) -> str:
    return f"{format_call_prefix(company, call_id)}transcript-{sha256[:16]}.json"


def format_insights_key(company: CompanySlug, call_id: CallId, sha256: str) -> str:
    return f"{format_call_prefix(company, call_id)}insights-{sha256[:16]}.json"


def format_ticket_prefix(company: CompanySlug, ticket_id: TicketId) -> str:
    return Owner(company, Kind.TICKET, ticket_id).prefix


def format_ticket_document_key(
    company: CompanySlug, ticket_id: TicketId, attempt: int, sha256: str
) -> str:
    """What the worker reads of a ticket (`tickets.TicketDocument`). With the attempt: what one
    attempt leaves is deleted once its result is in the database, also while the next one begins."""
    return f"{format_ticket_prefix(company, ticket_id)}document-{attempt}-{sha256[:16]}.json"


def format_ticket_insights_key(
    company: CompanySlug, ticket_id: TicketId, attempt: int, sha256: str
) -> str:
    return f"{format_ticket_prefix(company, ticket_id)}insights-{attempt}-{sha256[:16]}.json"


def parse_ticket_attempt(key: str) -> int | None:
    """The attempt that an object of a ticket belongs to; None for any other key."""
    found = _OF_ATTEMPT.search(key)
    return int(found[1]) if found is not None else None


def is_of_company(key: str, company: CompanySlug) -> bool:
    """Whether the object may be read in the company's name."""
    return key.startswith(f"{company}/")


def parse_owner(key: str) -> Owner | None:
    """Whose the object is; None for keys that belong to no piece of work."""
    parts = key.split("/")
    if len(parts) < 4 or parts[1] not in _KIND_OF:
        return None
    return Owner(CompanySlug(parts[0]), _KIND_OF[parts[1]], parts[2])
