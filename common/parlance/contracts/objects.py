"""Keys in the object store: one formatter for each kind, nothing else builds a key.

Everything of one call lies below `<company>/calls/<call>/`, so that deleting a call is one prefix.
Artefacts carry their SHA-256 in the key: a stale worker can never overwrite a newer result.
"""

from .ids import CallId, CompanySlug

STAGING_PREFIX = "staging/"
"""Uploads whose company is not known yet; the janitor empties what is older than an hour."""


def format_call_prefix(company: CompanySlug, call_id: CallId) -> str:
    return f"{company}/calls/{call_id}/"


def format_audio_key(company: CompanySlug, call_id: CallId, extension: str) -> str:
    return f"{format_call_prefix(company, call_id)}audio.{extension}"


def format_staging_key(call_id: CallId) -> str:
    return f"{STAGING_PREFIX}{call_id}"


def format_trackers_key(company: CompanySlug) -> str:
    """The company's tracker rules (`analysis.insights.TrackerRules`), as the workers read them."""
    return f"{company}/settings/trackers.json"


def format_transcript_key(company: CompanySlug, call_id: CallId, sha256: str) -> str:
    return f"{format_call_prefix(company, call_id)}transcript-{sha256[:16]}.json"


def format_insights_key(company: CompanySlug, call_id: CallId, sha256: str) -> str:
    return f"{format_call_prefix(company, call_id)}insights-{sha256[:16]}.json"


def is_of_company(key: str, company: CompanySlug) -> bool:
    """Whether the object may be read in the company's name."""
    return key.startswith(f"{company}/")


def parse_call_key(key: str) -> tuple[CompanySlug, CallId] | None:
    """Company and call that a key belongs to; None for keys that are not a call's."""
    parts = key.split("/")
    if len(parts) < 4 or parts[1] != "calls":
        return None
    return CompanySlug(parts[0]), CallId(parts[2])
