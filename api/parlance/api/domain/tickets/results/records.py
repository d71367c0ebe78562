"""Writes changes of tickets: many at once, in one statement.

The recorder keeps up with some hundred events a second only if an event costs it less than a
transaction of its own. One statement changes the rows, stores the insights and takes what has ended
out of the outbox; the rows of the tickets are locked first (see the order in `outbox.rows`), since
the rest reads what the change returns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import sqlalchemy as sa
from parlance.api.db import text
from parlance.api.domain.tickets.results.changes import Change
from sqlalchemy.ext.asyncio import AsyncSession

# A row that another transaction has locked is left out: an upload holds up to a thousand of them
# while it puts their documents into the store, and the results of everybody else would wait for it.
#
# The condition is `contracts.lifecycle.accepts` for a row: of an attempt that is not older than the
# row's, while the row has not ended. A sign of life changes a row once, or pollers of
# `updated_since` would be given the same ticket again and again. That a worker has delivered is not
# in the row: the recorder stores what is delivered at once, or says that it cannot.
APPLY = sa.text(
    """
    WITH change AS (
        SELECT * FROM json_to_recordset(CAST(CAST(:changes AS text) AS json)) AS item (
            id uuid, company_id uuid, attempt int, state text,
            started_at timestamptz, completed_at timestamptz,
            error_code text, error_reason text, error_message text, error_retryable boolean,
            detected_language text, sentiment_score float8, sentiment_label text,
            tracker_names text[], summary text, timings jsonb, profile text, insights jsonb
        )
    ), locked AS MATERIALIZED (
        SELECT ticket.id FROM tickets AS ticket JOIN change USING (id)
        FOR UPDATE OF ticket SKIP LOCKED
    ), changed AS (
        UPDATE tickets AS ticket SET
            attempt = change.attempt,
            state = change.state,
            started_at = CASE WHEN change.insights IS NULL
                THEN coalesce(ticket.started_at, change.started_at)
                ELSE change.started_at END,
            completed_at = change.completed_at,
            error_code = change.error_code,
            error_reason = change.error_reason,
            error_message = change.error_message,
            error_retryable = change.error_retryable,
            detected_language = CASE WHEN change.insights IS NULL THEN ticket.detected_language
                ELSE change.detected_language END,
            sentiment_score = CASE WHEN change.insights IS NULL THEN ticket.sentiment_score
                ELSE change.sentiment_score END,
            sentiment_label = CASE WHEN change.insights IS NULL THEN ticket.sentiment_label
                ELSE change.sentiment_label END,
            tracker_names = coalesce(change.tracker_names, ticket.tracker_names),
            summary = CASE WHEN change.insights IS NULL THEN ticket.summary
                ELSE change.summary END,
            timings = coalesce(change.timings, ticket.timings),
            updated_at = :now
        FROM change JOIN locked USING (id)
        WHERE ticket.id = change.id
            AND ticket.company_id = change.company_id
            AND ticket.state IN ('queued', 'processing')
            AND ticket.attempt <= change.attempt
            AND (ticket.state, ticket.attempt) <> (change.state, change.attempt)
        RETURNING ticket.id, ticket.company_id, ticket.state, ticket.attempt,
            change.profile, change.insights
    ), stored AS (
        INSERT INTO ticket_insights (ticket_id, company_id, attempt, profile, data)
        SELECT id, company_id, attempt, profile, insights FROM changed WHERE insights IS NOT NULL
        ON CONFLICT (ticket_id) DO UPDATE SET
            attempt = excluded.attempt,
            profile = excluded.profile,
            data = excluded.data,
            created_at = now()
    ), withdrawn AS (
        DELETE FROM outbox USING changed
        WHERE outbox.kind = 'ticket'
            AND outbox.subject_id = changed.id
            AND outbox.company_id = changed.company_id
            AND changed.state NOT IN ('queued', 'processing')
    )
    SELECT id, false AS is_locked FROM changed
    UNION ALL
    SELECT id, true FROM change JOIN tickets USING (id)
    WHERE NOT EXISTS (SELECT FROM locked WHERE locked.id = change.id)
    """
)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the changes, by the ids of their tickets. The others are those of tickets that
    are gone, have ended, or are in a later attempt."""

    changed: set[str]
    locked: set[str]
    """Of tickets that another transaction has locked: to be tried again."""


async def apply(session: AsyncSession, changes: Sequence[Change], now: datetime) -> Applied:
    """No two changes may be about the same ticket."""
    data = text.drop_nul(msgspec.json.encode(changes)).decode()
    applied = Applied(set(), set())
    for ticket_id, is_locked in await session.execute(APPLY, {"changes": data, "now": now}):
        (applied.locked if is_locked else applied.changed).add(str(ticket_id))
    return applied
