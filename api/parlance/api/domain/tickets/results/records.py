"""Writes changes of tickets: many at once, in one statement.

The recorder keeps up with some hundred events a second only if an event costs it less than a
transaction of its own. One statement changes the rows, stores the insights and takes what has ended
out of the outbox; the rows of the tickets are locked first (see the order in `outbox.rows`), since
the rest reads what the change returns.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from parlance.api.db import text
from parlance.api.domain.tickets.results.changes import Change
from sqlalchemy.ext.asyncio import AsyncSession

# The condition is `contracts.lifecycle.accepts` for a row: of an attempt that is not older than the
# row's, while the row has not ended. That a worker has delivered is not in the row: the recorder
# stores what is delivered at once, or says that it cannot.
_APPLY = sa.text(
    """
    WITH change AS (
        SELECT * FROM json_to_recordset(CAST(CAST(:changes AS text) AS json)) AS item (
            id uuid, company_id uuid, attempt int, is_announcement boolean, state text,
            queued_at timestamptz, started_at timestamptz, completed_at timestamptz,
            error_code text, error_reason text, error_message text, error_retryable boolean,
            detected_language text, sentiment_score float8, sentiment_label text,
            tracker_names text[], summary text, timings jsonb, profile text, insights jsonb
        )
    ), changed AS (
        UPDATE tickets AS ticket SET
            attempt = CASE WHEN change.is_announcement THEN ticket.attempt
                ELSE change.attempt END,
            state = coalesce(change.state, ticket.state),
            queued_at = coalesce(change.queued_at, ticket.queued_at),
            started_at = coalesce(ticket.started_at, change.started_at),
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
        FROM change
        WHERE ticket.id = change.id
            AND ticket.company_id = change.company_id
            AND ticket.state IN ('queued', 'processing')
            AND ticket.attempt <= change.attempt
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
    SELECT id FROM changed
    """
)


async def apply(session: AsyncSession, changes: Sequence[Change], now: datetime) -> set[str]:
    """Returns the ids of the tickets that were changed: those that are there, have not ended, and
    are in no later attempt. No two changes may be about the same ticket."""
    data = text.drop_nul(msgspec.json.encode(changes)).decode()
    found = await session.scalars(_APPLY, {"changes": data, "now": now})
    return {str(ticket_id) for ticket_id in found}
