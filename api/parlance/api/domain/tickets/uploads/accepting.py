"""Makes tickets of an upload: one transaction for all rows of a request.

After the commit each ticket is safe: whatever dies, it reaches an end. Called by the routes.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from litestar import Response
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from parlance.api.db.errors import RowConflict
from parlance.api.db.session import Database
from parlance.api.domain.company import agents
from parlance.api.domain.company.agents import AgentIds
from parlance.api.domain.tickets.uploads import answers, changes, storing
from parlance.api.domain.tickets.uploads.changes import Change, Result
from parlance.api.domain.tickets.uploads.upload import Mode, TicketUpload
from parlance.api.http import idempotency
from parlance.api.http.errors import Refused
from parlance.api.outbox.relay import Relay
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.errors import RuntimeFault
from parlance.runtime.store import Store
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

_log = structlog.get_logger(__name__)
_ACCEPTED = Counter("parlance_tickets_accepted", "Tickets accepted, by outcome.", ["outcome"])

MAX_TRIES = 5
"""How often a request is decided anew because others stored the same tickets meanwhile. The second
time it finds them; further ones need further requests with yet other tickets."""
_EXTERNAL_ID_CONSTRAINT = "uq_tickets_external_id"


class Acceptor:
    """One per process."""

    def __init__(self, database: Database, store: Store, relay: Relay) -> None:
        self._database = database
        self._store = store
        self._relay = relay

    async def accept(self, upload: TicketUpload) -> Response[Any]:
        """The answer of a new request, or the one that the same request had before.

        Raises Refused when nothing of it is accepted, DatabaseUnavailable, StoreUnavailable.
        """
        return await idempotency.answer_once(
            self._database, upload.claim, lambda: self._store_tickets(upload)
        )

    async def _store_tickets(self, upload: TicketUpload) -> Response[Any]:
        new_ids = [ids.new_uuid7() for _ in upload.body.items]
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                return await self._commit(upload, new_ids)
            except RowConflict as exc:
                # Somebody stored one of these tickets after we looked.
                if exc.constraint != _EXTERNAL_ID_CONSTRAINT or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _commit(self, upload: TicketUpload, new_ids: list[uuid.UUID]) -> Response[Any]:
        async with self._database.company_session(upload.principal.company_id) as session:
            results = await _decide(session, upload, new_ids)
            answer = answers.build_answer(upload, results)
            found = [result for result in results if isinstance(result, Change)]
            await storing.write_tickets(session, found)
            if upload.claim is not None:
                await idempotency.keep_answer(session, upload.claim, answer)
            withdrawn = await storing.write_rest(session, self._store, upload, found)
        for change in found:
            _ACCEPTED.labels(change.outcome).inc()
        answer.background = self._plan_rest(upload, found, withdrawn)
        return answer

    def _plan_rest(
        self, upload: TicketUpload, found: Sequence[Change], withdrawn: Sequence[str]
    ) -> BackgroundTasks | None:
        """What is done after the answer. The bus may be away: the recorder relays what this does
        not, and all of a batch."""
        tasks = []
        if found and not upload.body.is_many:
            [change] = found
            tasks.append(BackgroundTask(self._relay.relay_one, Kind.TICKET, change.ticket.id))
        if withdrawn:
            tasks.append(BackgroundTask(self._delete_objects, withdrawn))
        return BackgroundTasks(tasks) if tasks else None

    async def _delete_objects(self, keys: Sequence[str]) -> None:
        """Documents that no worker will read. What stays goes with its ticket."""
        try:
            await asyncio.gather(*(self._store.delete(key) for key in keys))
        except RuntimeFault as fault:
            _log.info("old documents stay", count=len(keys), problem=repr(fault))


async def _decide(
    session: AsyncSession, upload: TicketUpload, new_ids: Sequence[uuid.UUID]
) -> list[Result]:
    """One result for each ticket; the known ones are locked."""
    items = upload.body.items
    company_id = upload.principal.company_id
    wanted = [AgentIds() if isinstance(item, Refused) else item.fields.agent_ids for item in items]
    external_ids = {
        item.external_id for item in items if not isinstance(item, Refused) and item.external_id
    }
    known = await storing.lock_known(
        session, company_id, external_ids, with_content=upload.mode is Mode.APPEND
    )
    assignments = await agents.find_agents(session, company_id, wanted)

    def decide_all() -> list[Result]:
        return [
            changes.decide(
                upload,
                index,
                assignments[index],
                None if isinstance(item, Refused) else known.get(item.external_id or ""),
                new_ids[index],
            )
            for index, item in enumerate(items)
        ]

    if upload.mode is Mode.APPEND and upload.body.is_many:
        # Whole conversations are compared; the session does nothing meanwhile.
        return await asyncio.to_thread(decide_all)
    return decide_all()
