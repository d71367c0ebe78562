"""Tickets by their customer: columns that are computed from `customer`, each with an index.

Postgres computes them for the rows that are there too, and for what processes of the version before
write, which do not know them. It writes the table anew for that, under a lock that all who read or
write tickets wait for: 3 s for 200,000 tickets.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = {
    "customer_external_id": "customer ->> 'external_id'::text",
    "customer_name": "customer ->> 'name'::text",
    "customer_email": "lower(customer ->> 'email'::text)",
}


def upgrade() -> None:
    # One statement: each one would write the table anew.
    added = [
        f"ADD COLUMN {name} text GENERATED ALWAYS AS ({expression}) STORED"
        for name, expression in COLUMNS.items()
    ]
    op.execute(f"ALTER TABLE tickets {', '.join(added)}")
    for name in COLUMNS:
        op.create_index(
            op.f(f"ix_tickets_company_id_{name}"),
            "tickets",
            ["company_id", name],
            unique=False,
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
        )


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_index(op.f(f"ix_tickets_company_id_{name}"), table_name="tickets")
    for name in reversed(COLUMNS):
        op.drop_column("tickets", name)
