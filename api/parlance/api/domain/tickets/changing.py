"""Changing what the help desk says of a ticket: `PATCH`, as a merge patch (RFC 7396).

A member that is absent keeps its value, null clears it. The conversation is changed by an upload
(`uploads`), and no change here leads to another analysis.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.db.tables import TICKET_CONTENTS, Json
from parlance.api.domain.company import agents
from parlance.api.domain.tickets import contents, queries, reading
from parlance.api.domain.tickets.input import hashes
from parlance.api.domain.tickets.input.fields import CUSTOMER_NAMES, TicketFields
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.domain.tickets.queries import FoundTicket
from parlance.api.domain.tickets.reading import ReadTicket
from parlance.api.http import fields
from parlance.api.http.errors import Refused, refuse_field
from parlance.api.identity.guard import KEY_FIELD
from parlance.api.identity.principal import Principal
from parlance.contracts.problems import Problem, WarningCode
from parlance.runtime.clock import Clock
from sqlalchemy.ext.asyncio import AsyncSession

AGENT_FIELD = "agent"
_AGENT_NAMES = ("user_id", "agent_email", "extension_id")
_MERGED = ("customer", "metadata")
NAMES = frozenset({"subject", "status", "tags", *_MERGED, AGENT_FIELD, *_AGENT_NAMES})
_FIELD_OF = {"extra": "metadata", "user_id": AGENT_FIELD, "warnings": AGENT_FIELD}
"""The fields of columns that are called otherwise; `warnings` change with the agent only."""
_AGENT_WARNINGS = (
    WarningCode.AGENT_UNKNOWN,
    WarningCode.EXTENSION_UNKNOWN,
    WarningCode.EXTENSION_AMBIGUOUS,
)


@dataclass(frozen=True, slots=True)
class Patch:
    """What a request asks to be changed."""

    values: dict[str, Any]
    """As sent, known names only; those of the agent stand beside the others."""
    warnings: list[Json]
    """About the request; they are told once and not kept."""


def parse_patch(body: Mapping[str, Any], *, strict: bool) -> Patch:
    """Raises Refused. Values are checked when they are merged into what is there."""
    values = {name: value for name, value in body.items() if name in NAMES}
    values |= _read_agent(values)
    unknown = [name for name in body if name not in NAMES and name != KEY_FIELD]
    customer = body.get("customer")
    if isinstance(customer, dict):
        unknown += [f"customer/{name}" for name in customer if name not in CUSTOMER_NAMES]
    return Patch(values, fields.check_unknown(unknown, strict=strict, meaning="cannot be changed"))


async def change_ticket(
    database: Database,
    clock: Clock,
    principal: Principal,
    ticket_id: uuid.UUID,
    patch: Patch,
    *,
    if_match: Collection[str] = (),
) -> ReadTicket:
    """The ticket afterwards. `if_match`: entity tags of which one has to name the present revision.
    Raises Refused."""
    company_id = principal.company_id
    async with database.company_session(company_id) as session:
        ticket = await lock_ticket(session, company_id, ticket_id)
        if ticket is None:
            raise await queries.refuse_missing(session, company_id, ticket_id)
        _check_revision(ticket, if_match)
        changed = await _apply(session, ticket, patch)
        if changed:
            ticket.revision += 1
            ticket.updated_at = clock.now()
            ticket.content_hash = hashes.mark_changed(ticket.content_hash)
            if "subject" in changed:
                await _update_search(session, ticket)
            session.add(
                tables.AuditEntry(
                    company_id=company_id,
                    actor=principal.actor,
                    action="ticket.changed",
                    subject=str(ticket_id),
                    detail={"fields": [*_name_fields(changed)], "revision": ticket.revision},
                )
            )
            await session.flush()
        found = await queries.fetch_ticket(session, company_id, ticket_id)
        return await reading.read(session, FoundTicket(ticket, found.agent), patch.warnings)


def _name_fields(columns: Iterable[str]) -> Iterable[str]:
    """The names by which clients know these columns, each once."""
    return dict.fromkeys(_FIELD_OF.get(name, name) for name in columns)


def _read_agent(values: dict[str, Any]) -> dict[str, Any]:
    """The three names of an agent, with those that are not given as None; nothing when the patch
    does not speak of the agent. Takes `agent` out of the values."""
    if AGENT_FIELD not in values:
        given = {name: values[name] for name in _AGENT_NAMES if name in values}
        return dict.fromkeys(_AGENT_NAMES) | given if given else {}
    agent = values.pop(AGENT_FIELD)
    if agent is None:
        return dict.fromkeys(_AGENT_NAMES)
    if not isinstance(agent, dict) or not any(name in agent for name in _AGENT_NAMES):
        detail = f"is null or an object with one of {', '.join(_AGENT_NAMES)}"
        raise refuse_field(Problem.VALIDATION_FAILED, AGENT_FIELD, detail)
    return {name: agent.get(name) for name in _AGENT_NAMES}


def _check_revision(ticket: tables.Ticket, if_match: Collection[str]) -> None:
    """Only what clients change is guarded: an analysis that ends meanwhile overwrites nothing."""
    if not if_match or "*" in if_match:
        return
    if ticket.revision not in {reading.parse_revision(tag) for tag in if_match}:
        raise Refused(Problem.PRECONDITION_FAILED)


async def _apply(session: AsyncSession, ticket: tables.Ticket, patch: Patch) -> list[str]:
    """Returns the names of what is different now. Raises Refused."""
    values = dict(patch.values)
    present = {"customer": ticket.customer, "metadata": ticket.extra}
    for name in _MERGED:
        if name in values:
            values[name] = merge(present[name], values[name])
    wanted = fields.parse_model(TicketFields, values)
    columns = _read_columns(wanted, values)
    if "user_id" in values:
        columns |= await _assign(session, ticket, wanted)
    changed = [name for name, value in columns.items() if getattr(ticket, name) != value]
    for name in changed:
        setattr(ticket, name, columns[name])
    return changed


def _read_columns(wanted: TicketFields, values: Mapping[str, Any]) -> dict[str, Any]:
    customer = wanted.customer.model_dump(exclude_none=True) if wanted.customer else {}
    columns = {
        "subject": wanted.subject,
        "status": wanted.status,
        "tags": wanted.tags,
        "customer": {name: value for name, value in customer.items() if value},
        "extra": wanted.metadata,
    }
    return {
        name: value
        for name, value in columns.items()
        if ("metadata" if name == "extra" else name) in values
    }


async def _assign(
    session: AsyncSession, ticket: tables.Ticket, wanted: TicketFields
) -> dict[str, Any]:
    """An agent that nobody is leaves the ticket unassigned, with a warning that stays until the
    next change of the agent."""
    [assignment] = await agents.find_agents(session, ticket.company_id, [wanted.agent_ids])
    if assignment.refusal is not None:
        raise assignment.refusal
    kept = [item for item in ticket.warnings if item.get("code") not in _AGENT_WARNINGS]
    return {
        "user_id": assignment.user_id,
        "extension_id": wanted.extension_id,
        "warnings": [*kept, *assignment.warnings],
    }


async def _update_search(session: AsyncSession, ticket: tables.Ticket) -> None:
    content = await queries.fetch_content(session, ticket.company_id, ticket.id)
    words = contents.build_search_text(ticket.subject, content.messages if content else [])
    await session.execute(
        sa.update(TICKET_CONTENTS)
        .where(
            TICKET_CONTENTS.c.company_id == ticket.company_id,
            TICKET_CONTENTS.c.ticket_id == ticket.id,
        )
        .values(search=contents.build_search_vector(sa.literal(words)))
    )


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396. How deep it goes is bounded by whoever parsed the JSON."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
