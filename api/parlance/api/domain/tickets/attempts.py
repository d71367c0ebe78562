"""The beginning of an attempt: one analysis of a ticket, for new content or on request."""

from datetime import datetime

from parlance.api.db import tables
from parlance.contracts.tickets import TicketState


def begin(ticket: tables.Ticket, at: datetime) -> None:
    """The next attempt. What the last one found goes from the row: a list must not find a ticket by
    results that nobody can read any more."""
    ticket.attempt += 1
    ticket.state = TicketState.QUEUED
    ticket.queued_at = ticket.updated_at = at
    ticket.started_at = ticket.completed_at = None
    ticket.error_code = ticket.error_message = ticket.error_reason = None
    ticket.error_retryable = None
    ticket.detected_language = ticket.sentiment_label = ticket.summary = None
    ticket.sentiment_score = None
    ticket.tracker_names, ticket.timings = [], {}
