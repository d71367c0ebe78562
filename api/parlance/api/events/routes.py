"""`GET /api/events`: everything that happens in a company, as server-sent events."""

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation
from parlance.api.events import following
from parlance.api.events.following import FromIn
from parlance.api.events.hub import Hub, Topic
from parlance.api.http import operations
from parlance.api.http.errors import Refused, refuse_field
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate, PrincipalIn
from parlance.api.identity.principal import Principal
from parlance.api.identity.scopes import READ_SCOPE_OF
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.problems import Problem

KINDS = sorted(kind.value for kind in READ_SCOPE_OF)


@dataclass(frozen=True, slots=True)
class Streams:
    """What the routes of this area use."""

    hub: Hub
    gate: Gate


StreamsIn = NamedDependency[SkipValidation[Streams]]


@get(
    "/api/events",
    operation_id="followCompany",
    summary="Follow all work of the company",
    tags=["Events"],
    opt=guard.needs(*READ_SCOPE_OF.values()),
    media_type="text/event-stream",
    responses=operations.KEYED_PROBLEMS | operations.WRONG_PARAMETER,
)
async def follow_company(
    request: Request[Any, Any, Any],
    streams: StreamsIn,
    principal: PrincipalIn,
    kind: Annotated[
        str | None,
        QueryParameter(
            description="Only events of this kind. Without it, of all that the key may read.",
            schema_extra={"enum": KINDS},
        ),
    ] = None,
    from_: FromIn = None,
) -> Response[Any]:
    """Events from now on; `Last-Event-ID` or `?from=` goes on where a client was."""
    topic = Topic(principal.company_slug, find_kinds(principal, kind))
    last_id = following.parse_last_id(request.headers.get("Last-Event-ID"), from_)
    position = await following.find_position(streams.hub, topic, last_id)
    body = following.follow(streams.hub, topic, position)
    return following.build_response(body, streams.gate.keep_asking(request, topic.kinds))


def find_kinds(principal: Principal, wanted: str | None) -> frozenset[Kind]:
    """The kinds to show: the wanted one, or all that the principal may read. Raises Refused."""
    if wanted is None:
        return principal.readable_kinds
    if wanted not in KINDS:
        raise refuse_field(Problem.VALIDATION_FAILED, "kind", f"is one of {', '.join(KINDS)}")
    kind = Kind(wanted)
    if kind not in principal.readable_kinds:
        raise Refused(Problem.FORBIDDEN, f"The key lacks the scope {READ_SCOPE_OF[kind]}.")
    return frozenset((kind,))
