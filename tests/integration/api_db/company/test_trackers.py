"""A company's tracker rules are copied into the store whenever they change."""

from datetime import timedelta

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.company.trackers import REWRITE_AFTER, TrackerFiles
from parlance.contracts import objects
from parlance.contracts.analysis.insights import TrackerRules
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import ObjectNotFound
from parlance.runtime.store import Store
from sqlmodel import col

from tests.integration.api_db.support import Tenant

REFUND: tables.Json = {"name": "refund", "phrases": ["a refund"]}
CANCEL: tables.Json = {"name": "cancel", "phrases": ["cancel*"], "role": "customer"}


async def set_rules(database: Database, company: Tenant, *rules: tables.Json) -> None:
    change = sa.update(tables.Company).where(col(tables.Company.id) == company.id)
    async with database.system_session() as session:
        await session.execute(change.values(trackers=list(rules)))


async def read_names(store: Store, company: Tenant) -> list[str] | None:
    """None where there is no object."""
    try:
        data = await store.get_bytes(objects.format_trackers_key(company.slug))
    except ObjectNotFound:
        return None
    return [rule.name for rule in TrackerRules.model_validate_json(data).rules]


async def test_rules_follow_their_changes_and_go_with_the_last_one(
    database: Database, store: Store, acme: Tenant
) -> None:
    files = TrackerFiles(database, store, ManualClock())
    seen = []
    for rules in ((REFUND,), (REFUND, CANCEL), ()):
        await set_rules(database, acme, *rules)
        await files.run_pass()
        seen.append(await read_names(store, acme))

    assert seen == [["refund"], ["refund", "cancel"], None]


async def test_each_company_has_its_own(
    database: Database, store: Store, acme: Tenant, globex: Tenant
) -> None:
    await set_rules(database, acme, REFUND)
    await set_rules(database, globex, CANCEL)

    await TrackerFiles(database, store, ManualClock()).run_pass()

    assert await read_names(store, acme) == ["refund"]
    assert await read_names(store, globex) == ["cancel"]


async def test_an_invalid_rule_costs_neither_the_others_nor_other_companies(
    database: Database, store: Store, acme: Tenant, globex: Tenant
) -> None:
    await set_rules(database, acme, {"name": 7}, REFUND)
    await set_rules(database, globex, CANCEL)

    await TrackerFiles(database, store, ManualClock()).run_pass()

    assert await read_names(store, acme) == ["refund"]
    assert await read_names(store, globex) == ["cancel"]


async def test_an_object_that_was_lost_comes_back(
    database: Database, store: Store, acme: Tenant
) -> None:
    clock = ManualClock()
    files = TrackerFiles(database, store, clock)
    await set_rules(database, acme, REFUND)
    await files.run_pass()
    await store.delete(objects.format_trackers_key(acme.slug))

    await files.run_pass()
    unchanged = await read_names(store, acme)
    clock.advance((REWRITE_AFTER + timedelta(seconds=1)).total_seconds())
    await files.run_pass()

    assert unchanged is None
    assert await read_names(store, acme) == ["refund"]


async def test_another_recorder_removes_what_one_before_it_wrote(
    database: Database, store: Store, acme: Tenant
) -> None:
    await set_rules(database, acme, REFUND)
    await TrackerFiles(database, store, ManualClock()).run_pass()
    await set_rules(database, acme)

    await TrackerFiles(database, store, ManualClock()).run_pass()

    assert await read_names(store, acme) is None
