"""Room for more kinds than calls: tables named for what they belong to, keys of (kind, subject).

Renames and empty columns, and one index of the outbox that is built anew. The outbox holds only
what is not sent yet, so this is quick however many calls there are. Processes of the version before
do not know the new names and answer 503 until they are replaced; they lose nothing.
"""

from alembic import op
import sqlalchemy as sa
from parlance.api.db import row_security

revision = "0002"
down_revision = "0001"

RENAMED_TABLES = {"segments": "call_segments", "insights": "call_insights"}
RENAMED_CONSTRAINTS = {
    "segments": ("pk_{}", "fk_{}_call_id", "fk_{}_company_id", "ck_{}_role"),
    "insights": ("pk_{}", "fk_{}_call_id", "fk_{}_company_id"),
}


def upgrade() -> None:
    for old, new in RENAMED_TABLES.items():
        rename_table(old, new, RENAMED_CONSTRAINTS[old])

    op.add_column("calls", sa.Column("role_confidence", sa.Float(), nullable=True))

    op.drop_constraint(op.f("ck_outbox_outboxkind"), "outbox", type_="check")
    op.alter_column("outbox", "kind", server_default=None)
    op.drop_index(op.f("ix_outbox_priority_created_at_id"), table_name="outbox")
    op.create_index(
        op.f("ix_outbox_kind_priority_created_at_id"),
        "outbox",
        ["kind", "priority", "created_at", "id"],
        unique=False,
    )

    op.alter_column("deletions", "call_id", new_column_name="subject_id")
    op.alter_column(
        "deletions",
        "calljob_name",
        new_column_name="resource_name",
        existing_type=sa.String(length=253),
        nullable=True,
    )
    # The default fills the rows that are there without touching them; later ones say their kind.
    op.add_column(
        "deletions",
        sa.Column("kind", sa.String(length=16), nullable=False, server_default="call"),
    )
    op.alter_column("deletions", "kind", server_default=None)
    op.drop_constraint(op.f("pk_deletions"), "deletions", type_="primary")
    op.create_primary_key(op.f("pk_deletions"), "deletions", ["kind", "subject_id"])

    op.create_table(
        "suspected_orphans",
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_suspected_orphans_company_id")
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "kind", "subject_id", name=op.f("pk_suspected_orphans")
        ),
    )
    row_security.protect("suspected_orphans")


def downgrade() -> None:
    op.drop_table("suspected_orphans")

    op.execute("DELETE FROM deletions WHERE kind <> 'call'")
    op.drop_constraint(op.f("pk_deletions"), "deletions", type_="primary")
    op.drop_column("deletions", "kind")
    op.alter_column("deletions", "subject_id", new_column_name="call_id")
    op.alter_column(
        "deletions",
        "resource_name",
        new_column_name="calljob_name",
        existing_type=sa.String(length=253),
        nullable=False,
    )
    op.create_primary_key(op.f("pk_deletions"), "deletions", ["call_id"])

    op.execute("DELETE FROM outbox WHERE kind <> 'call'")
    op.drop_index(op.f("ix_outbox_kind_priority_created_at_id"), table_name="outbox")
    op.create_index(
        op.f("ix_outbox_priority_created_at_id"),
        "outbox",
        ["priority", "created_at", "id"],
        unique=False,
    )
    op.alter_column("outbox", "kind", server_default="call")
    op.create_check_constraint(op.f("ck_outbox_outboxkind"), "outbox", "kind IN ('call')")

    op.drop_column("calls", "role_confidence")

    for old, new in RENAMED_TABLES.items():
        rename_table(new, old, RENAMED_CONSTRAINTS[old])


def rename_table(old: str, new: str, constraints: tuple[str, ...]) -> None:
    """The index of a primary key is renamed with it; policies belong to the table."""
    op.rename_table(old, new)
    for name in constraints:
        op.execute(
            f"ALTER TABLE {new} RENAME CONSTRAINT {name.format(old)} TO {name.format(new)}"
        )
