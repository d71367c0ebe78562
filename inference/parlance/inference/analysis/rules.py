"""The tracker rules of a company, as the API's recorder left them in the object store."""

import structlog
from parlance.contracts import objects
from parlance.contracts.analysis.insights import TrackerRules
from parlance.contracts.ids import CompanySlug
from parlance.runtime.errors import ObjectNotFound, StoreRefused
from parlance.runtime.store import Store
from pydantic import ValidationError

_log = structlog.get_logger(__name__)


async def fetch_rules(store: Store, company: CompanySlug) -> TrackerRules | None:
    """No rules where there is no object; None when it cannot be read or understood, which costs the
    trackers and not the call. Raises StoreUnavailable."""
    try:
        data = await store.get_bytes(objects.format_trackers_key(company))
    except ObjectNotFound:
        return TrackerRules()
    except StoreRefused as exc:
        # The store gave us the audio of the same company. S3 refuses what is not there, too, to
        # whoever may not list: calls without rules must not wait for an administrator.
        _log.warning("tracker rules cannot be read", company=company, error=str(exc))
        return None
    try:
        return TrackerRules.model_validate_json(data)
    except ValidationError as exc:
        problems = exc.errors(include_url=False, include_input=False, include_context=False)
        _log.warning("tracker rules cannot be read", company=company, problems=problems[:3])
        return None
