"""`GET /api/events`: everything that happens in a company, as server-sent events."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import QueryParameter
from parlance.api.events import following
from parlance.api.events.hub import Topic
from parlance.api.identity import guard as access
from parlance.api.identity.dependencies import SCOPE_OPTION, PartsIn, PrincipalIn
from parlance.api.identity.keys import Scope
from parlance.contracts.ids import CompanySlug


@get(
    "/api/events",
    operation_id="followCompany",
    summary="Follow all calls of the company",
    tags=["Events"],
    opt={SCOPE_OPTION: Scope.CALLS_READ},
    media_type="text/event-stream",
)
async def follow_company(
    request: Request[Any, Any, Any],
    parts: PartsIn,
    principal: PrincipalIn,
    from_: Annotated[int | None, QueryParameter(name="from", ge=0)] = None,
) -> Response[Any]:
    """Events from now on; `Last-Event-ID` or `?from=` goes on where a client was."""
    topic = Topic(CompanySlug(principal.company_slug))
    last_id = following.parse_last_id(request.headers.get("Last-Event-ID"), from_)
    position = await following.find_position(parts.hub, topic, last_id)
    body = following.follow(parts.hub, topic, position)
    is_admitted = parts.gate.keep_asking(access.read_key(request), Scope.CALLS_READ)
    return following.build_response(body, is_admitted)
