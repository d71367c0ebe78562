"""The tracker rules of a company, as the API's recorder left them in the object store."""

from typing import NamedTuple

import structlog
from parlance.contracts import objects
from parlance.contracts.analysis.insights import TrackerRules
from parlance.contracts.ids import CompanySlug
from parlance.runtime.clock import Clock
from parlance.runtime.errors import ObjectNotFound, StoreRefused
from parlance.runtime.store import Store
from pydantic import ValidationError

_log = structlog.get_logger(__name__)

FRESH_SECONDS = 10.0
_MAX_COMPANIES = 1000
"""Rules of a company take up to some hundred kilobytes."""


class _Cached(NamedTuple):
    rules: TrackerRules | None
    until: float


class RulesCache:
    """Rules that are fetched every few seconds, however many short documents ask for them."""

    def __init__(self, store: Store, clock: Clock, *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._store = store
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._cached: dict[CompanySlug, _Cached] = {}

    async def fetch(self, company: CompanySlug) -> TrackerRules | None:
        """As `fetch_rules`, at most `fresh_seconds` old."""
        cached = self._cached.get(company)
        if cached is not None and self._clock.monotonic() < cached.until:
            return cached.rules
        rules = await fetch_rules(self._store, company)
        if len(self._cached) >= _MAX_COMPANIES:
            self._cached.clear()
        self._cached[company] = _Cached(rules, self._clock.monotonic() + self._fresh_seconds)
        return rules


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
