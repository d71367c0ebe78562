"""Keeps a company's tracker rules in the object store, where workers read them.

Workers know neither Postgres nor this component. Called by the recorder again and again; several
recorders write the same.
"""

from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.contracts import objects
from parlance.contracts.analysis.insights import TrackerRule, TrackerRules
from parlance.contracts.ids import CompanySlug
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store
from prometheus_client import Counter
from pydantic import ValidationError
from sqlmodel import col

_log = structlog.get_logger(__name__)
_WRITTEN = Counter("parlance_tracker_files_written", "Tracker rules copied into the store.")
_INVALID = Counter("parlance_tracker_rules_invalid", "Stored tracker rules that were left out.")

LOOK_SECONDS = 10.0
"""How often changes are looked for; a changed rule applies to calls analysed so much later."""
REWRITE_AFTER = timedelta(hours=1)
"""Everything is written anew this often, so that an object that was lost comes back."""
_PER_QUERY = 500


class TrackerFiles:
    """One per recorder process."""

    def __init__(self, database: Database, store: Store, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._written: dict[CompanySlug, str] = {}
        """Digest of the rules that this process has written, by company."""
        self._began_at = clock.now()

    async def run_pass(self) -> None:
        """Write what has changed. Raises Retryable faults; what was written stays."""
        if self._clock.now() - self._began_at > REWRITE_AFTER:
            self._written.clear()
            self._began_at = self._clock.now()
        changed = await self._find_changed()
        for first in range(0, len(changed), _PER_QUERY):
            await self._write(changed[first : first + _PER_QUERY])

    async def _find_changed(self) -> list[CompanySlug]:
        company = tables.Company
        digest = sa.func.md5(sa.cast(col(company.trackers), sa.Text))
        async with self._database.system_session() as session:
            rows = (await session.execute(sa.select(col(company.slug), digest))).all()
        seen = {CompanySlug(slug): text for slug, text in rows}
        return [slug for slug, text in seen.items() if self._written.get(slug) != text]

    async def _write(self, slugs: list[CompanySlug]) -> None:
        company = tables.Company
        digest = sa.func.md5(sa.cast(col(company.trackers), sa.Text))
        query = sa.select(col(company.slug), col(company.trackers), digest).where(
            col(company.slug).in_(slugs)
        )
        async with self._database.system_session() as session:
            rows = (await session.execute(query)).all()
        for slug, stored, seen in rows:
            await self._write_one(CompanySlug(slug), parse_rules(slug, stored))
            self._written[CompanySlug(slug)] = seen

    async def _write_one(self, slug: CompanySlug, rules: TrackerRules) -> None:
        key = objects.format_trackers_key(slug)
        if rules.rules:
            await self._store.put_bytes(key, rules.model_dump_json().encode())
            _WRITTEN.inc()
        else:
            await self._store.delete(key)


def parse_rules(slug: str, stored: Iterable[tables.Json]) -> TrackerRules:
    """The rules that are valid; the others are logged and left out."""
    valid: list[TrackerRule] = []
    for number, rule in enumerate(stored):
        try:
            valid.append(TrackerRule.model_validate(rule))
        except ValidationError as exc:
            _INVALID.inc()
            _log.warning(
                "tracker rule left out",
                company=slug,
                number=number,
                fields=[".".join(map(str, error["loc"])) for error in exc.errors()],
            )
    return TrackerRules(rules=tuple(valid))
