"""Full text search: indexes and functions over calls and tickets. And tickets by their state.

The indexes are built under a lock that writers of segments and tickets wait for: 2 s for 100,000
segments. `ticket_contents` is empty before this version.
"""

from alembic import op
from parlance.api.db import search

revision = "0004"
down_revision = "0003"

SEARCHES = (search.CALLS, search.TICKETS)


def upgrade() -> None:
    # A search visits the row of every hit. Without its long columns, which go where Postgres keeps
    # what is too long for a row, 80 rows are in a page instead of 4.
    op.execute("ALTER TABLE ticket_contents SET (toast_tuple_target = 128)")
    for each in SEARCHES:
        op.execute(search.build_index(each))
        for statement in search.build_function(each):
            op.execute(statement)
    op.create_index(
        op.f("ix_tickets_company_id_state_created_at_id"),
        "tickets",
        ["company_id", "state", "created_at", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_tickets_company_id_state_created_at_id"), table_name="tickets")
    for each in reversed(SEARCHES):
        op.execute(f"DROP POLICY IF EXISTS {search.POLICY} ON {each.table}")
        op.execute(f"DROP FUNCTION {each.signature}")
        op.execute(f"DROP INDEX {each.index}")
    op.execute("ALTER TABLE ticket_contents RESET (toast_tuple_target)")
