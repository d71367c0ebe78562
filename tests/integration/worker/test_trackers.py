"""A company's tracker rules reach its calls, by the object that the recorder keeps in the store."""

from parlance.contracts import objects
from parlance.contracts.analysis.insights import AnalyzerError, Insights, TrackerRule, TrackerRules
from parlance.contracts.bus.calls import EventType

from devstack import testdata
from tests.integration.worker.rig import COMPANY, Rig

RULES = TrackerRules(rules=(TrackerRule(name="stub", phrases=("stub text",)),))
"""What the stub of the speech model always says."""


async def _analyze_call(rig: Rig) -> Insights:
    call_id = await rig.submit((await testdata.fetch_two_cities()).path)
    await rig.wait_for(call_id, EventType.ANALYZED)
    return await rig.read_insights(call_id)


async def test_rules_apply_from_the_next_call_on_and_bad_ones_cost_only_the_trackers(
    rig: Rig,
) -> None:
    key = objects.format_trackers_key(COMPANY)
    async with rig.worker("a"):
        without = await _analyze_call(rig)
        await rig.store.put_bytes(key, RULES.model_dump_json().encode())
        with_rules = await _analyze_call(rig)
        await rig.store.put_bytes(key, b'{"rules": 7}')
        with_bad_rules = await _analyze_call(rig)

    assert without.trackers == ()
    assert [(found.name, found.matched) for found in with_rules.trackers] == [("stub", True)]
    assert with_rules.trackers[0].hits[0].span.text == "stub text"
    failed = {run.name: run.error_code for run in with_bad_rules.analyzers if not run.ok}
    assert failed == {"trackers": AnalyzerError.RULES_UNREADABLE}
    assert with_bad_rules.metrics is not None
