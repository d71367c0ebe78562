"""How long conversations are, so that a search knows before it reads them.

Postgres writes `ticket_contents` anew and computes the length of each row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Computed by Postgres. It could not be asked of a stored value later without decompressing it.
    length = sa.Computed("octet_length(messages::text)", persisted=True)
    op.add_column("ticket_contents", sa.Column("message_bytes", sa.Integer, length, nullable=False))


def downgrade() -> None:
    op.drop_column("ticket_contents", "message_bytes")
