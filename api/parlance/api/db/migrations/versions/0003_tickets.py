"""Tickets: their tables, row security on each, and a time zone of the company."""

import sqlalchemy as sa
from alembic import op
from parlance.api.db import row_security
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

TABLES = ("tickets", "ticket_contents", "ticket_insights")


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=128), nullable=True),
        sa.Column("subject", sa.String(length=1024), nullable=True),
        sa.Column("channel", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=True),
        sa.Column("priority", sa.String(length=64), nullable=True),
        sa.Column(
            "customer", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("extension_id", sa.String(length=128), nullable=True),
        sa.Column(
            "tags", postgresql.ARRAY(sa.String(length=64)), server_default="{}", nullable=False
        ),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("language", sa.String(length=35), nullable=False),
        sa.Column("redact_pii", sa.Boolean(), nullable=False),
        sa.Column(
            "warnings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("parse_confidence", sa.Float(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "processing",
                "completed",
                "failed",
                "cancelled",
                name="ticketstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column(
            "lane",
            sa.Enum(
                "interactive",
                "standard",
                "bulk",
                name="priority",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="standard",
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.String(length=1024), nullable=True),
        sa.Column("error_reason", sa.String(length=64), nullable=True),
        sa.Column("error_retryable", sa.Boolean(), nullable=True),
        sa.Column("detected_language", sa.String(length=35), nullable=True),
        sa.Column("sentiment_score", sa.Float(), nullable=True),
        sa.Column("sentiment_label", sa.String(length=16), nullable=True),
        sa.Column(
            "tracker_names",
            postgresql.ARRAY(sa.String(length=64)),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column(
            "timings", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_tickets_company_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tickets_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tickets")),
    )
    op.create_index(
        op.f("ix_tickets_company_id_created_at_id"),
        "tickets",
        ["company_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_tickets_company_id_updated_at_id"),
        "tickets",
        ["company_id", "updated_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_tickets_company_id_user_id_created_at_id"),
        "tickets",
        ["company_id", "user_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tickets_open",
        "tickets",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'processing')"),
    )
    op.create_index(
        "ix_tickets_unassigned_extension",
        "tickets",
        ["company_id", "extension_id"],
        unique=False,
        postgresql_where=sa.text("user_id IS NULL AND extension_id IS NOT NULL"),
    )
    op.create_index(
        "uq_tickets_external_id",
        "tickets",
        ["company_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "ticket_contents",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column(
            "messages", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column("raw_text", sa.String(), nullable=True),
        sa.Column("search", postgresql.TSVECTOR(), nullable=True),
        # Of a value as it is sent: asked of a stored one, it would have to be decompressed.
        sa.Column(
            "message_bytes",
            sa.Integer(),
            sa.Computed("octet_length(messages::text)", persisted=True),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_ticket_contents_company_id")
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
            name=op.f("fk_ticket_contents_ticket_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ticket_contents")),
    )
    op.create_table(
        "ticket_insights",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("profile", sa.String(length=64), nullable=False),
        sa.Column(
            "data", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_ticket_insights_company_id")
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
            name=op.f("fk_ticket_insights_ticket_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ticket_insights")),
    )
    op.add_column(
        "companies",
        sa.Column("time_zone", sa.String(length=64), server_default="UTC", nullable=False),
    )

    for table in TABLES:
        row_security.protect(table)
    op.drop_constraint(op.f("ck_call_segments_role"), "call_segments", type_="check")
    op.create_check_constraint(
        op.f("ck_call_segments_role"),
        "call_segments",
        "role IN ('agent', 'customer', 'bot', 'system', 'unknown')",
    )


def downgrade() -> None:
    op.execute("UPDATE call_segments SET role = 'unknown' WHERE role IN ('bot', 'system')")
    op.drop_constraint(op.f("ck_call_segments_role"), "call_segments", type_="check")
    op.create_check_constraint(
        op.f("ck_call_segments_role"),
        "call_segments",
        "role IN ('agent', 'customer', 'unknown')",
    )
    op.drop_column("companies", "time_zone")
    op.execute("DELETE FROM outbox WHERE kind = 'ticket'")
    op.execute("DELETE FROM deletions WHERE kind = 'ticket'")
    op.execute("DELETE FROM suspected_orphans WHERE kind = 'ticket'")
    for table in reversed(TABLES):
        op.drop_table(table)
