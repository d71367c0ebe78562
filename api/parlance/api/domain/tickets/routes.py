"""Reading, following, changing and deleting tickets over HTTP. How they come in is in
`uploads.routes`."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromQuery, PathParameter, QueryParameter, SkipValidation
from parlance.api.db.session import Database
from parlance.api.domain.search.finding import QueryIn
from parlance.api.domain.tickets import (
    changing,
    deleting,
    operations,
    queries,
    reading,
    reanalyzing,
    schemas,
    views,
)
from parlance.api.domain.tickets.queries import TicketFilter
from parlance.api.domain.tickets.reading import ReadTicket, TicketReader
from parlance.api.domain.tickets.uploads.bodies import Bodies
from parlance.api.events import following, waiting
from parlance.api.events.following import FromIn
from parlance.api.events.hub import Hub
from parlance.api.http import etag, fields, json_body, paging
from parlance.api.http.body import BodyReader, Pace
from parlance.api.http.errors import Refused
from parlance.api.http.fields import TextIn
from parlance.api.http.paging import CursorIn, LimitIn
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate, PrincipalIn
from parlance.api.identity.scopes import Scope
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketState
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store

_READ = guard.needs(Scope.TICKETS_READ)
_WRITE = guard.needs(Scope.TICKETS_WRITE)
_PACE = Pace(idle_seconds=30.0, min_bytes_per_second=1024, max_wait_seconds=30.0)
"""Of a patch, which is short."""

# The framework means something else by a parameter that is called `state`.
StateIn = Annotated[TicketState | None, QueryParameter(name="state")]
TicketId = Annotated[str, PathParameter(description="Id of the ticket.")]
WaitIn = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=waiting.MAX_WAIT_SECONDS,
        description="Seconds to wait for the end of the analysis, or with If-None-Match for any "
        "change of the ticket.",
    ),
]


@dataclass(frozen=True, slots=True)
class Tickets:
    """What the routes of this module use."""

    database: Database
    store: Store
    hub: Hub
    gate: Gate
    relay: Relay
    deleter: Deleter
    clock: Clock
    bodies: Bodies


TicketsIn = NamedDependency[SkipValidation[Tickets]]


class TicketsController(Controller):
    """`/api/tickets`."""

    path = "/api/tickets"
    tags = ["Tickets"]  # noqa: RUF012 - the framework reads class attributes

    @get(
        operation_id="listTickets",
        summary="List tickets",
        opt=_READ,
        responses=operations.LIST_PROBLEMS,
    )
    async def list_tickets(
        self,
        tickets: TicketsIn,
        principal: PrincipalIn,
        state_: StateIn = None,
        status: TextIn = None,
        agent: FromQuery[uuid.UUID | None] = None,
        customer: TextIn = None,
        external_id: TextIn = None,
        channel: TextIn = None,
        tag: TextIn = None,
        sentiment: TextIn = None,
        tracker: TextIn = None,
        created_after: FromQuery[datetime | None] = None,
        created_before: FromQuery[datetime | None] = None,
        updated_since: FromQuery[datetime | None] = None,
        q: QueryIn = None,
        cursor: CursorIn = None,
        limit: LimitIn = paging.DEFAULT_PAGE_ITEMS,
    ) -> schemas.TicketPage:
        """Newest first; with `updated_since` oldest change first, for keeping a copy up to date.

        `customer` is a name, an email address or an external id; `status` is the help desk's word,
        and `state` tells how far the analysis is. Ask for changes from a minute before the newest
        one you have: several are written at once, and one may become visible after a later one.

        With `q` only tickets whose subject and messages match it; `highlights` show where.
        """
        wanted = TicketFilter(
            state=state_,
            status=status,
            agent=agent,
            customer=customer,
            external_id=external_id,
            channel=channel,
            tag=tag,
            sentiment=sentiment,
            tracker=tracker,
            created_after=fields.check_moment_in("created_after", created_after),
            created_before=fields.check_moment_in("created_before", created_before),
            updated_since=fields.check_moment_in("updated_since", updated_since),
            q=q,
        )
        async with tickets.database.company_session(principal.company_id) as session:
            page = await queries.fetch_page(
                session, principal.company_id, wanted, limit=limit, cursor=cursor
            )
        items = [
            views.build_ticket(item.ticket, item.agent, highlights=item.highlights)
            for item in page.items
        ]
        return schemas.TicketPage(items, page.next_cursor)

    @get(
        "/{ticket_id:str}",
        operation_id="getTicket",
        summary="Get a ticket",
        opt=_READ,
        operation_class=operations.GetOperation,
        responses=operations.GET_PROBLEMS,
    )
    async def get_ticket(
        self,
        request: Request[Any, Any, Any],
        tickets: TicketsIn,
        principal: PrincipalIn,
        ticket_id: TicketId,
        wait: WaitIn = 0,
    ) -> Response[schemas.Ticket]:
        """Everything about a ticket: the conversation, and the insights once there are some."""
        known = etag.parse_etags(request.headers.get("If-None-Match", ""))
        reader = TicketReader(tickets.database, principal, fields.parse_id(ticket_id))

        def is_enough(read: ReadTicket) -> bool:
            return read.etag not in known if known else read.is_terminal

        read = await waiting.wait_for(
            reader.fetch, is_enough, tickets.hub, reader.topic, wait_seconds=wait
        )
        if read.etag in known:
            return Response(None, status_code=304, headers=build_headers(read))  # type: ignore[arg-type]
        return build_answer(read)

    @get(
        "/{ticket_id:str}/insights",
        operation_id="getTicketInsights",
        summary="Get the insights of a ticket",
        opt=_READ,
        responses=operations.RESULT_PROBLEMS,
    )
    async def get_insights(
        self, tickets: TicketsIn, principal: PrincipalIn, ticket_id: TicketId
    ) -> Response[Insights]:
        """Metrics, sentiment, keywords, summary and tracker hits, each with its evidence. Parts
        that text cannot have, and those of an analyser that failed, are absent."""
        id_ = fields.parse_id(ticket_id)
        async with tickets.database.company_session(principal.company_id) as session:
            await reading.fetch_completed(session, principal, id_)
            row = await queries.fetch_insights(session, principal.company_id, id_)
        if row is None:
            raise Refused(Problem.NOT_FOUND, "The ticket has no insights.")
        insights = views.build_insights(Insights.model_validate(row.data))
        return Response(insights)  # type: ignore[arg-type]  # only the parts that there are

    @get(
        "/{ticket_id:str}/events",
        operation_id="followTicket",
        summary="Follow a ticket",
        opt=_READ,
        operation_class=operations.FollowOperation,
        responses=operations.GET_PROBLEMS,
        media_type="text/event-stream",
    )
    async def follow_ticket(
        self,
        request: Request[Any, Any, Any],
        tickets: TicketsIn,
        principal: PrincipalIn,
        ticket_id: TicketId,
        from_: FromIn = None,
    ) -> Response[Any]:
        """Server-sent events: a snapshot, then what happens, until the newest analysis has ended.

        `Last-Event-ID` or `?from=` resumes on any replica; `?from=0` gives all events, those of
        earlier analyses included.
        """
        reader = TicketReader(tickets.database, principal, fields.parse_id(ticket_id))
        await reader.fetch_row()  # 404 before the stream begins
        last_id = following.parse_last_id(request.headers.get("Last-Event-ID"), from_)
        position = await following.find_position(tickets.hub, reader.topic, last_id, reader)
        if position.is_finished:
            return Response(None, status_code=204)  # tells an EventSource not to come back
        body = following.follow(tickets.hub, reader.topic, position, reader)
        return following.build_response(body, tickets.gate.keep_asking(request, reader.topic.kinds))

    @patch(
        "/{ticket_id:str}",
        operation_id="changeTicket",
        summary="Change a ticket",
        opt=guard.needs(Scope.TICKETS_WRITE, is_key_in_body=True),
        operation_class=operations.ChangeOperation,
        responses=operations.CHANGE_PROBLEMS,
    )
    async def change_ticket(
        self,
        request: Request[Any, Any, Any],
        tickets: TicketsIn,
        ticket_id: TicketId,
        strict: FromQuery[bool] = False,
    ) -> Response[schemas.Ticket]:
        """A merge patch: what is absent stays, null clears. With `If-Match`, only if nobody else
        has changed the ticket since; the end of an analysis is no such change."""
        id_ = fields.parse_id(ticket_id)
        json_body.check_content_type(request, operations.PATCH_TYPES)
        with tickets.bodies.count_unkeyed(request):
            body = await json_body.read_object(BodyReader(request, _PACE).chunks())
            principal = await tickets.gate.admit_by_field(request, guard.read_field_key(body))
        read = await changing.change_ticket(
            tickets.database,
            tickets.clock,
            principal,
            id_,
            changing.parse_patch(body, strict=strict),
            if_match=etag.parse_etags(request.headers.get("If-Match", "")),
        )
        return build_answer(read)

    @post(
        "/{ticket_id:str}/reanalyze",
        operation_id="reanalyzeTicket",
        summary="Analyse a ticket again",
        opt=_WRITE,
        responses=operations.REANALYZE_PROBLEMS,
        status_code=202,
    )
    async def reanalyze_ticket(
        self, tickets: TicketsIn, principal: PrincipalIn, ticket_id: TicketId
    ) -> Response[schemas.Ticket]:
        """With the trackers and analysers of now. The insights are there again once it has ended;
        while an analysis runs there is none to be had."""
        id_ = fields.parse_id(ticket_id)
        await reanalyzing.reanalyze(tickets.database, tickets.store, tickets.clock, principal, id_)
        found = await TicketReader(tickets.database, principal, id_).fetch_row()
        relay = BackgroundTask(tickets.relay.relay_one, Kind.TICKET, id_)
        return Response(
            views.build_ticket(found.ticket, found.agent), status_code=202, background=relay
        )

    @delete(
        "/{ticket_id:str}",
        operation_id="deleteTicket",
        summary="Delete a ticket",
        opt=_WRITE,
        operation_class=operations.DeleteOperation,
        responses=operations.READ_PROBLEMS,
        status_code=204,
    )
    async def delete_ticket(
        self, tickets: TicketsIn, principal: PrincipalIn, ticket_id: TicketId
    ) -> Response[None]:
        """Everything of it: the conversation, the insights, objects, events and work under way."""
        id_ = fields.parse_id(ticket_id)
        company_id = principal.company_id
        async with tickets.database.company_session(company_id) as session:
            was_there = await deleting.delete_ticket(
                session, company_id, id_, actor=principal.actor
            )
            if not was_there and not await deleting.is_deleted(session, company_id, id_):
                raise Refused(Problem.NOT_FOUND)
        erase = BackgroundTask(tickets.deleter.delete_one, company_id, Kind.TICKET, id_)
        return Response(None, status_code=204, background=erase)


def build_headers(read: ReadTicket) -> dict[str, str]:
    return {"ETag": read.etag, "Cache-Control": "private, no-cache"}


def build_answer(read: ReadTicket, **options: Any) -> Response[schemas.Ticket]:
    return Response(
        read.body,  # type: ignore[arg-type]  # encoded already
        headers=build_headers(read),
        media_type="application/json",
        **options,
    )
