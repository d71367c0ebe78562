"""The states of an open ticket also stand in SQL, as text: a parameter would hide from Postgres
that an index serves. They are the same everywhere."""

import uuid

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.tickets import dispatching, stragglers
from parlance.api.domain.tickets.results import records
from parlance.contracts.tickets import TicketState

OPEN = "({})".format(", ".join(f"'{state}'" for state in dispatching.OPEN_STATES))


def test_open_states_are_those_that_are_not_terminal() -> None:
    assert tuple(s for s in TicketState if not s.is_terminal) == dispatching.OPEN_STATES


def test_the_index_of_open_tickets_has_them() -> None:
    table: sa.Table = getattr(tables.Ticket, "__table__")  # noqa: B009 - set by the metaclass
    [index] = [index for index in table.indexes if index.name == "ix_tickets_open"]

    assert str(index.dialect_options["postgresql"]["where"]) == f"state IN {OPEN}"


def test_stragglers_are_looked_for_among_them() -> None:
    query = stragglers.select_open(sa.true(), uuid.UUID(int=0))

    assert f"tickets.state IN {OPEN}" in str(query)


def test_results_are_written_to_them_and_end_the_others() -> None:
    assert f"ticket.state IN {OPEN}" in str(records.APPLY)
    assert f"changed.state NOT IN {OPEN}" in str(records.APPLY)
    assert str(records.APPLY).count("'queued'") == 2
