"""Tracker hits on their way from a worker's artefact to a client."""

import httpx
from parlance.api.domain.calls.results.applier import CallApplier
from parlance.contracts import ids
from parlance.contracts.analysis.insights import Insights, Span, TrackerHit, TrackerResult
from parlance.contracts.ids import CompanySlug
from parlance.runtime import store as store_module
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock

from tests.integration.api_db import support as recorded
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api

TRACKERS = (
    TrackerResult(
        name="refund",
        matched=True,
        hits=(
            TrackerHit(
                phrase="money back",
                speaker="speaker_0",
                span=Span(start_seconds=0.1, end_seconds=0.6, segment_id="0-0", text="money back"),
            ),
        ),
        count=1,
    ),
    TrackerResult(name="greeting", matched=True, hits=()),
    TrackerResult(name="farewell", matched=False, hits=(), undecided=True),
)


async def test_tracker_hits_of_a_worker_are_in_the_insights_that_a_client_gets(
    api: Api, api_bus: Bus, client: httpx.AsyncClient, acme: Account
) -> None:
    call_id = await support.add_call(api.database, acme)
    company = recorded.Tenant(acme.id, CompanySlug(acme.slug))
    id_ = ids.parse_call_id(call_id)
    async with store_module.open_store(api.settings.store) as store:
        analyzed = await recorded.put_result(
            store, company, id_, texts=["my money back please"], trackers=TRACKERS
        )
        applier = CallApplier(api.database, store, api_bus, SystemClock())
        await applier.apply(recorded.build_event(company, id_, analyzed))

    headers = {"X-Api-Key": acme.key}
    insights = (await client.get(f"/api/calls/{call_id}/insights", headers=headers)).json()
    call = (await client.get(f"/api/calls/{call_id}", headers=headers)).json()
    assert Insights.model_validate(insights).trackers == TRACKERS
    assert insights["trackers"][0]["hits"][0]["span"]["segment_id"] == "0-0"
    assert call["insights"]["trackers"] == insights["trackers"]
