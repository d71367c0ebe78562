"""Reading, following and ending calls over HTTP. How they come in is in `uploads.routes`."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromQuery, PathParameter, QueryParameter, SkipValidation
from parlance.api.db.session import Database
from parlance.api.domain.calls import (
    audio,
    cancelling,
    deleting,
    exports,
    operations,
    queries,
    reading,
    schemas,
    views,
)
from parlance.api.domain.calls.exports import Format
from parlance.api.domain.calls.queries import CallFilter
from parlance.api.domain.calls.reading import CallReader, ReadCall
from parlance.api.domain.search.finding import QueryIn
from parlance.api.events import following, waiting
from parlance.api.events.following import FromIn
from parlance.api.events.hub import Hub
from parlance.api.http import etag, fields, paging
from parlance.api.http.errors import Refused
from parlance.api.http.fields import TextIn
from parlance.api.http.links import BaseUrlIn
from parlance.api.http.paging import CursorIn, LimitIn
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate, PrincipalIn
from parlance.api.identity.scopes import Scope
from parlance.api.outbox.deletions import Deleter
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus
from parlance.contracts.problems import Problem
from parlance.runtime.bus import Bus
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store

_READ = guard.needs(Scope.CALLS_READ)
_WRITE = guard.needs(Scope.CALLS_WRITE)

CallId = Annotated[str, PathParameter(description="Id of the call.")]
WaitIn = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=waiting.MAX_WAIT_SECONDS,
        description="Seconds to wait for the end of the call, or with If-None-Match for any "
        "change of it.",
    ),
]


@dataclass(frozen=True, slots=True)
class Calls:
    """What the routes of this module use."""

    database: Database
    store: Store
    kube: Kube
    bus: Bus
    hub: Hub
    gate: Gate
    deleter: Deleter


CallsIn = NamedDependency[SkipValidation[Calls]]


class CallsController(Controller):
    """`/api/calls`."""

    path = "/api/calls"
    tags = ["Calls"]  # noqa: RUF012 - the framework reads class attributes

    @get(
        operation_id="listCalls",
        summary="List calls",
        opt=_READ,
        responses=operations.LIST_PROBLEMS,
    )
    async def list_calls(
        self,
        calls: CallsIn,
        principal: PrincipalIn,
        base_url: BaseUrlIn,
        status: FromQuery[CallStatus | None] = None,
        agent: FromQuery[uuid.UUID | None] = None,
        customer: TextIn = None,
        worker_id: TextIn = None,
        external_id: TextIn = None,
        created_after: FromQuery[datetime | None] = None,
        created_before: FromQuery[datetime | None] = None,
        updated_since: FromQuery[datetime | None] = None,
        q: QueryIn = None,
        cursor: CursorIn = None,
        limit: LimitIn = paging.DEFAULT_PAGE_ITEMS,
    ) -> schemas.CallPage:
        """Newest first; with `updated_since` oldest change first, for keeping a copy up to date.

        Ask from a minute before the newest change you have: several are written at once, and one
        may become visible after a later one. Some then come twice, and none is missed.

        With `q` only calls of whose transcript a segment matches; `highlights` show where.
        """
        wanted = CallFilter(
            status=status,
            agent=agent,
            customer=customer,
            worker_id=worker_id,
            external_id=external_id,
            created_after=fields.check_moment_in("created_after", created_after),
            created_before=fields.check_moment_in("created_before", created_before),
            updated_since=fields.check_moment_in("updated_since", updated_since),
            q=q,
        )
        async with calls.database.company_session(principal.company_id) as session:
            page = await queries.fetch_page(
                session, principal.company_id, wanted, limit=limit, cursor=cursor
            )
        items = [
            views.build_call(item.call, item.agent, base_url, highlights=item.highlights)
            for item in page.items
        ]
        return schemas.CallPage(items, page.next_cursor)

    @get(
        "/{call_id:str}",
        operation_id="getCall",
        summary="Get a call",
        opt=_READ,
        operation_class=operations.GetOperation,
        responses=operations.GET_PROBLEMS,
    )
    async def get_call(
        self,
        request: Request[Any, Any, Any],
        calls: CallsIn,
        principal: PrincipalIn,
        base_url: BaseUrlIn,
        call_id: CallId,
        wait: WaitIn = 0,
    ) -> Response[schemas.Call]:
        """Everything about a call; `text`, `segments` and `insights` once it is completed."""
        known = etag.parse_etags(request.headers.get("If-None-Match", ""))
        reader = CallReader(calls.database, principal, base_url, fields.parse_id(call_id))

        def is_enough(read: ReadCall) -> bool:
            return read.etag not in known if known else read.is_terminal

        read = await waiting.wait_for(
            reader.fetch, is_enough, calls.hub, reader.topic, wait_seconds=wait
        )
        headers = {"ETag": read.etag, "Cache-Control": "private, no-cache"}
        if read.etag in known:
            return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
        return Response(read.body, headers=headers, media_type="application/json")  # type: ignore[arg-type]  # encoded already

    @get(
        "/{call_id:str}/transcript",
        operation_id="getTranscript",
        summary="Get the transcript of a call",
        opt=_READ,
        operation_class=operations.TranscriptOperation,
        responses=operations.TRANSCRIPT_PROBLEMS,
    )
    async def get_transcript(
        self,
        calls: CallsIn,
        principal: PrincipalIn,
        call_id: CallId,
        format: FromQuery[Format] = Format.JSON,
    ) -> Response[schemas.Transcript]:
        """As JSON, plain text, SubRip or WebVTT."""
        id_ = fields.parse_id(call_id)
        async with calls.database.company_session(principal.company_id) as session:
            call = await reading.fetch_completed(session, principal, id_)
            segments = await queries.fetch_segments(session, principal.company_id, id_)
        if format is Format.JSON:
            return Response(views.build_transcript(call, segments))
        text = exports.format_transcript([views.build_spoken(row) for row in segments], format)
        name = f"{id_}.{format}"
        return Response(
            text.encode(),  # type: ignore[arg-type]  # one of the text formats
            media_type=format.media_type,
            headers={"Content-Disposition": f'inline; filename="{name}"'},
        )

    @get(
        "/{call_id:str}/insights",
        operation_id="getInsights",
        summary="Get the insights of a call",
        opt=_READ,
        responses=operations.RESULT_PROBLEMS,
    )
    async def get_insights(
        self, calls: CallsIn, principal: PrincipalIn, call_id: CallId
    ) -> Insights:
        """Metrics, sentiment, keywords, summary and tracker hits, each with its evidence."""
        id_ = fields.parse_id(call_id)
        async with calls.database.company_session(principal.company_id) as session:
            await reading.fetch_completed(session, principal, id_)
            row = await queries.fetch_insights(session, principal.company_id, id_)
        if row is None:
            raise Refused(Problem.NOT_FOUND, "The call has no insights.")
        return Insights.model_validate(row.data)

    @get(
        "/{call_id:str}/audio",
        operation_id="getAudio",
        summary="Get the audio of a call",
        opt=_READ,
        operation_class=operations.AudioOperation,
        responses=operations.READ_PROBLEMS,
    )
    async def get_audio(
        self,
        request: Request[Any, Any, Any],
        calls: CallsIn,
        principal: PrincipalIn,
        call_id: CallId,
    ) -> Response[Any]:
        """The file as it was uploaded; `Range` gives a part of it."""
        id_ = fields.parse_id(call_id)
        async with calls.database.company_session(principal.company_id) as session:
            found = await queries.fetch_call(session, principal.company_id, id_)
        return await audio.build_response(calls.store, found.call, request.headers.get("Range", ""))

    @get(
        "/{call_id:str}/events",
        operation_id="followCall",
        summary="Follow a call",
        opt=_READ,
        operation_class=operations.FollowOperation,
        responses=operations.GET_PROBLEMS,
        media_type="text/event-stream",
    )
    async def follow_call(
        self,
        request: Request[Any, Any, Any],
        calls: CallsIn,
        principal: PrincipalIn,
        base_url: BaseUrlIn,
        call_id: CallId,
        from_: FromIn = None,
    ) -> Response[Any]:
        """Server-sent events: a snapshot, then each segment as it is transcribed, until the end.

        `Last-Event-ID` or `?from=` resumes on any replica; `?from=0` gives all events.
        """
        reader = CallReader(calls.database, principal, base_url, fields.parse_id(call_id))
        await reader.fetch_row()  # 404 before the stream begins
        last_id = following.parse_last_id(request.headers.get("Last-Event-ID"), from_)
        position = await following.find_position(calls.hub, reader.topic, last_id, reader)
        if position.is_finished:
            return Response(None, status_code=204)  # tells an EventSource not to come back
        body = following.follow(calls.hub, reader.topic, position, reader)
        return following.build_response(body, calls.gate.keep_asking(request, reader.topic.kinds))

    @post(
        "/{call_id:str}/cancel",
        operation_id="cancelCall",
        summary="Cancel a call",
        opt=_WRITE,
        responses=operations.CANCEL_PROBLEMS,
        status_code=202,
    )
    async def cancel_call(
        self, calls: CallsIn, principal: PrincipalIn, base_url: BaseUrlIn, call_id: CallId
    ) -> schemas.Call:
        """Ends the work within one window of speech; asking twice is fine while it still runs."""
        id_ = fields.parse_id(call_id)
        await cancelling.cancel(calls.database, calls.kube, calls.bus, principal, id_)
        found = await CallReader(calls.database, principal, base_url, id_).fetch_row()
        return views.build_call(found.call, found.agent, base_url)

    @delete(
        "/{call_id:str}",
        operation_id="deleteCall",
        summary="Delete a call",
        opt=_WRITE,
        operation_class=operations.DeleteOperation,
        responses=operations.READ_PROBLEMS,
        status_code=204,
    )
    async def delete_call(
        self, calls: CallsIn, principal: PrincipalIn, call_id: CallId
    ) -> Response[None]:
        """Everything of it: row, transcript, audio, events and the job in the cluster."""
        id_ = fields.parse_id(call_id)
        company_id = principal.company_id
        async with calls.database.company_session(company_id) as session:
            was_there = await deleting.delete_call(session, company_id, id_, actor=principal.actor)
            if not was_there and not await deleting.is_deleted(session, company_id, id_):
                raise Refused(Problem.NOT_FOUND)
        erase = BackgroundTask(calls.deleter.delete_one, company_id, Kind.CALL, id_)
        return Response(None, status_code=204, background=erase)
