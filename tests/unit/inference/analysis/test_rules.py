"""The rules of a company, as the worker finds them in the store."""

import pathlib
from collections.abc import AsyncIterator

import pytest
from parlance.contracts import objects
from parlance.contracts.analysis.insights import TrackerRule, TrackerRules
from parlance.contracts.ids import CompanySlug
from parlance.inference.analysis import rules
from parlance.runtime import store as stores
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import StoreRefused, StoreUnavailable
from parlance.runtime.settings import StoreSettings
from parlance.runtime.store import Store

ACME, OTHER = CompanySlug("acme"), CompanySlug("other")
RULES = TrackerRules(rules=(TrackerRule(name="lost", phrases=("lost",)),))


class ClosedStore(Store):
    """Cannot be read, for one reason or another."""

    def __init__(self, reason: StoreUnavailable) -> None:
        self._reason = reason

    async def get_bytes(self, key: str) -> bytes:
        raise self._reason


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[Store]:
    async with stores.open_store(StoreSettings(store_url=f"file://{tmp_path}")) as opened:
        yield opened


async def test_the_rules_are_those_of_the_company(store: Store) -> None:
    await store.put_bytes(objects.format_trackers_key(ACME), RULES.model_dump_json().encode())

    assert await rules.fetch_rules(store, ACME) == RULES
    assert await rules.fetch_rules(store, OTHER) == TrackerRules()


@pytest.mark.parametrize("data", [b"", b"{", b'{"rules": 7}'])
async def test_what_cannot_be_understood_is_not_taken_for_no_rules(
    store: Store, data: bytes
) -> None:
    await store.put_bytes(objects.format_trackers_key(ACME), data)

    assert await rules.fetch_rules(store, ACME) is None


async def test_a_store_that_refuses_the_rules_costs_the_trackers_not_the_call() -> None:
    """S3 refuses what is not there to whoever may not list: every call without rules would wait
    for an administrator."""
    refusing = ClosedStore(StoreRefused("trackers"))

    assert await rules.fetch_rules(refusing, ACME) is None


async def test_a_store_that_is_away_is_waited_for() -> None:
    away = ClosedStore(StoreUnavailable("trackers"))

    with pytest.raises(StoreUnavailable):
        await rules.fetch_rules(away, ACME)


async def test_rules_are_kept_for_some_seconds(store: Store) -> None:
    clock = ManualClock()
    cache = rules.RulesCache(store, clock, fresh_seconds=10)

    before = await cache.fetch(ACME)
    await store.put_bytes(objects.format_trackers_key(ACME), RULES.model_dump_json().encode())
    clock.advance(9)
    kept = await cache.fetch(ACME)
    clock.advance(1)
    fresh = await cache.fetch(ACME)

    assert (before, kept, fresh) == (TrackerRules(), TrackerRules(), RULES)


async def test_the_rules_of_one_company_are_not_those_of_another(store: Store) -> None:
    await store.put_bytes(objects.format_trackers_key(ACME), RULES.model_dump_json().encode())
    cache = rules.RulesCache(store, ManualClock())

    assert await cache.fetch(ACME) == RULES
    assert await cache.fetch(OTHER) == TrackerRules()
