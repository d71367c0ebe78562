"""Reads the insights of a ticket where its result says, and deletes what an attempt left in the
object store. Called by `applier`."""

import asyncio

import structlog
from parlance.api.db import text
from parlance.api.domain.results import artefacts
from parlance.api.domain.results.artefacts import BrokenArtefact
from parlance.contracts import objects
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.tickets import Carried, Result
from parlance.contracts.ids import CompanySlug, TicketId
from parlance.runtime.errors import RuntimeFault
from parlance.runtime.store import Store
from pydantic import ValidationError

_log = structlog.get_logger(__name__)

_LARGE_BYTES = 64 * 1024
"""From here on insights are parsed in a thread, so that other events go on."""


async def fetch_insights(
    store: Store, company: CompanySlug, carried: Carried
) -> tuple[Insights, bytes]:
    """The insights and their bytes, without NUL. Raises BrokenArtefact or StoreUnavailable."""
    key = carried.object_key or ""
    if carried.content is not None:
        data = carried.content.encode()
    else:
        data = await artefacts.fetch_checked(store, key, carried.sha256 or "", company)
    if len(data) > _LARGE_BYTES:
        return await asyncio.to_thread(_parse, key, data)
    return _parse(key, data)


def has_objects(result: Result) -> bool:
    """Whether anything of the attempt went through the store; of most tickets nothing does."""
    return result.document_key is not None or result.insights.object_key is not None


async def delete_attempt(
    store: Store, company: CompanySlug, ticket_id: TicketId, attempt: int
) -> None:
    """Everything that this attempt and older ones left, also what no result names: a run that was
    lost may have stored insights under another key. What cannot be deleted now goes with a later
    attempt, or with the ticket."""
    try:
        prefix = objects.format_ticket_prefix(company, ticket_id)
        async for stored in store.list(prefix):
            found = objects.parse_ticket_attempt(stored.key)
            if found is not None and found <= attempt:
                await store.delete(stored.key)
    except RuntimeFault as fault:
        _log.info("objects of a ticket not deleted", ticket=ticket_id, problem=str(fault))


def _parse(key: str, data: bytes) -> tuple[Insights, bytes]:
    clean = text.drop_nul(data)
    try:
        return Insights.model_validate_json(clean), clean
    except ValidationError as exc:
        raise BrokenArtefact(key, "it does not fit the contract") from exc
