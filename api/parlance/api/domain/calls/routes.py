"""Reading, following and ending calls over HTTP. How they come in is in `upload_routes`."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromQuery, PathParameter, QueryParameter
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
from parlance.api.domain.calls.uploads import fields
from parlance.api.events import following, waiting
from parlance.api.http.errors import Refused, refuse_field
from parlance.api.identity import guard as access
from parlance.api.identity.dependencies import SCOPE_OPTION, BaseUrlIn, PartsIn, PrincipalIn
from parlance.api.identity.keys import Scope
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus
from parlance.contracts.problems import Problem

_READ = {SCOPE_OPTION: Scope.CALLS_READ}
_WRITE = {SCOPE_OPTION: Scope.CALLS_WRITE}

CallId = Annotated[str, PathParameter(description="Id of the call.")]
Text = Annotated[str | None, QueryParameter(max_length=256, pattern=r"^[^\x00]*$")]


def _check_time(name: str, value: datetime | None) -> datetime | None:
    """Raises Refused for a time that is none in UTC."""
    try:
        return None if value is None else fields.check_time(value)
    except ValueError as exc:
        raise refuse_field(Problem.VALIDATION_FAILED, name, str(exc)) from exc


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
        parts: PartsIn,
        principal: PrincipalIn,
        base_url: BaseUrlIn,
        status: FromQuery[CallStatus | None] = None,
        agent: FromQuery[uuid.UUID | None] = None,
        customer: Text = None,
        worker_id: Text = None,
        external_id: Text = None,
        created_after: FromQuery[datetime | None] = None,
        created_before: FromQuery[datetime | None] = None,
        updated_since: FromQuery[datetime | None] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=256)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=queries.MAX_PAGE)] = 50,
    ) -> schemas.CallPage:
        """Newest first; with `updated_since` oldest change first, for keeping a copy up to date.

        Ask from a minute before the newest change you have: several are written at once, and one
        may become visible after a later one. Some then come twice, and none is missed.
        """
        wanted = CallFilter(
            status=status,
            agent=agent,
            customer=customer,
            worker_id=worker_id,
            external_id=external_id,
            created_after=_check_time("created_after", created_after),
            created_before=_check_time("created_before", created_before),
            updated_since=_check_time("updated_since", updated_since),
        )
        async with parts.database.company_session(principal.company_id) as session:
            found, next_cursor = await queries.fetch_page(
                session, principal.company_id, wanted, limit=limit, cursor=cursor
            )
        items = [views.build_call(item.call, item.agent, base_url) for item in found]
        return schemas.CallPage(items, next_cursor)

    @get(
        "/{call_id:str}",
        operation_id="getCall",
        summary="Get a call",
        opt=_READ,
        responses=operations.READ_PROBLEMS,
    )
    async def get_call(
        self,
        request: Request[Any, Any, Any],
        parts: PartsIn,
        principal: PrincipalIn,
        base_url: BaseUrlIn,
        call_id: CallId,
        wait: Annotated[
            int,
            QueryParameter(
                ge=0,
                le=waiting.MAX_WAIT_SECONDS,
                description="Seconds to wait for the end of the call, or with If-None-Match for "
                "any change of it.",
            ),
        ] = 0,
    ) -> Response[schemas.Call]:
        """Everything about a call; `text`, `segments` and `insights` once it is completed."""
        known = reading.parse_etags(request.headers.get("If-None-Match", ""))
        reader = CallReader(parts, principal, base_url, queries.parse_id(call_id))

        def is_enough(read: ReadCall) -> bool:
            return read.etag not in known if known else read.is_terminal

        read = await waiting.wait_for(
            reader.fetch, is_enough, parts.hub, reader.topic, wait_seconds=wait
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
        responses=operations.READ_PROBLEMS,
    )
    async def get_transcript(
        self,
        parts: PartsIn,
        principal: PrincipalIn,
        call_id: CallId,
        format: FromQuery[Format] = Format.JSON,
    ) -> Response[schemas.Transcript]:
        """As JSON, plain text, SubRip or WebVTT."""
        id_ = queries.parse_id(call_id)
        async with parts.database.company_session(principal.company_id) as session:
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
        responses=operations.READ_PROBLEMS,
    )
    async def get_insights(
        self, parts: PartsIn, principal: PrincipalIn, call_id: CallId
    ) -> Insights:
        """Metrics, sentiment, keywords, summary and tracker hits, each with its evidence."""
        id_ = queries.parse_id(call_id)
        async with parts.database.company_session(principal.company_id) as session:
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
        responses=operations.READ_PROBLEMS,
    )
    async def get_audio(
        self,
        request: Request[Any, Any, Any],
        parts: PartsIn,
        principal: PrincipalIn,
        call_id: CallId,
    ) -> Response[Any]:
        """The file as it was uploaded; `Range` gives a part of it."""
        id_ = queries.parse_id(call_id)
        async with parts.database.company_session(principal.company_id) as session:
            found = await queries.fetch_call(session, principal.company_id, id_)
        return await audio.build_response(parts.store, found.call, request.headers.get("Range", ""))

    @get(
        "/{call_id:str}/events",
        operation_id="followCall",
        summary="Follow a call",
        opt=_READ,
        responses=operations.READ_PROBLEMS,
        media_type="text/event-stream",
    )
    async def follow_call(
        self,
        request: Request[Any, Any, Any],
        parts: PartsIn,
        principal: PrincipalIn,
        base_url: BaseUrlIn,
        call_id: CallId,
        from_: Annotated[int | None, QueryParameter(name="from", ge=0)] = None,
    ) -> Response[Any]:
        """Server-sent events: a snapshot, then each segment as it is transcribed, until the end.

        `Last-Event-ID` or `?from=` resumes on any replica; `?from=0` gives all events.
        """
        reader = CallReader(parts, principal, base_url, queries.parse_id(call_id))
        await reader.fetch_row()  # 404 before the stream begins
        last_id = following.parse_last_id(request.headers.get("Last-Event-ID"), from_)
        position = await following.find_position(parts.hub, reader.topic, last_id)
        if position.is_finished:
            return Response(None, status_code=204)  # tells an EventSource not to come back
        body = following.follow(parts.hub, reader.topic, position, reader)
        is_admitted = parts.gate.keep_asking(access.read_key(request), Scope.CALLS_READ)
        return following.build_response(body, is_admitted)

    @post(
        "/{call_id:str}/cancel",
        operation_id="cancelCall",
        summary="Cancel a call",
        opt=_WRITE,
        responses=operations.READ_PROBLEMS | operations.CANCEL_PROBLEMS,
        status_code=202,
    )
    async def cancel_call(
        self, parts: PartsIn, principal: PrincipalIn, base_url: BaseUrlIn, call_id: CallId
    ) -> schemas.Call:
        """Ends the work within one window of speech; asking twice is fine while it still runs."""
        id_ = queries.parse_id(call_id)
        await cancelling.cancel(parts.database, parts.kube, parts.bus, principal, id_)
        reader = CallReader(parts, principal, base_url, id_)
        found = await reader.fetch_row()
        return views.build_call(found.call, found.agent, base_url)

    @delete(
        "/{call_id:str}",
        operation_id="deleteCall",
        summary="Delete a call",
        opt=_WRITE,
        responses=operations.READ_PROBLEMS,
        status_code=204,
    )
    async def delete_call(
        self, parts: PartsIn, principal: PrincipalIn, call_id: CallId
    ) -> Response[None]:
        """Everything of it: row, transcript, audio, events and the job in the cluster."""
        id_ = queries.parse_id(call_id)
        async with parts.database.company_session(principal.company_id) as session:
            was_there = await deleting.delete_call(
                session, principal.company_id, id_, actor=f"key:{principal.key_id}"
            )
            if not was_there and not await deleting.is_deleted(session, principal.company_id, id_):
                raise Refused(Problem.NOT_FOUND)
        erase = BackgroundTask(parts.deleter.delete_one, principal.company_id, Kind.CALL, id_)
        return Response(None, status_code=204, background=erase)
