"""The first tables, and row security on each."""

from alembic import op
import sqlalchemy as sa
from parlance.api.db import row_security
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

OF_A_COMPANY = (
    "users",
    "api_keys",
    "calls",
    "segments",
    "insights",
    "outbox",
    "deletions",
    "audit",
    "idempotency_keys",
)


def upgrade() -> None:
    op.create_table(
        "companies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column(
            "trackers", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_companies")),
        sa.UniqueConstraint("slug", name=op.f("uq_companies_slug")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column(
            "scopes", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_api_keys_company_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(
        op.f("ix_api_keys_company_id_created_at_id"),
        "api_keys",
        ["company_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_audit_company_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_company_id_id"), "audit", ["company_id", "id"], unique=False)
    op.create_table(
        "deletions",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("calljob_name", sa.String(length=253), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_deletions_company_id")
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_deletions")),
    )
    op.create_index(op.f("ix_deletions_finished_at"), "deletions", ["finished_at"], unique=False)
    op.create_index(
        "ix_deletions_open",
        "deletions",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column(
            "headers", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_idempotency_keys_company_id")
        ),
        sa.PrimaryKeyConstraint("company_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "call", name="outboxkind", native_enum=False, create_constraint=True, length=16
            ),
            server_default="call",
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column(
            "payload", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_outbox_company_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("kind", "subject_id", name=op.f("uq_outbox_kind_subject_id")),
    )
    op.create_index(
        op.f("ix_outbox_priority_created_at_id"),
        "outbox",
        ["priority", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("extension_id", sa.String(length=128), nullable=True),
        sa.Column(
            "role",
            sa.Enum(
                "admin",
                "supervisor",
                "agent",
                name="userrole",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="agent",
            nullable=False,
        ),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_users_company_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("company_id", "email", name=op.f("uq_users_company_id_email")),
    )
    op.create_index(
        op.f("ix_users_company_id_created_at_id"),
        "users",
        ["company_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_users_company_id_extension_id"),
        "users",
        ["company_id", "extension_id"],
        unique=False,
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "processing",
                "completed",
                "failed",
                "cancelled",
                name="callstatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column(
            "stages", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column("customer_name", sa.String(length=256), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("extension_id", sa.String(length=128), nullable=True),
        sa.Column("worker_id", sa.String(length=128), nullable=True),
        sa.Column("external_id", sa.String(length=128), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("direction", sa.String(length=16), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "channels",
            sa.Enum(
                "auto",
                "mono",
                "agent_left",
                "agent_right",
                name="channelpolicy",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="auto",
            nullable=False,
        ),
        sa.Column("language", sa.String(length=35), nullable=False),
        sa.Column(
            "priority",
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
        sa.Column("redact_pii", sa.Boolean(), nullable=False),
        sa.Column("allow_duplicate", sa.Boolean(), nullable=False),
        sa.Column(
            "source",
            sa.Enum(
                "upload",
                "url",
                "kubectl",
                name="callsource",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="upload",
            nullable=False,
        ),
        sa.Column("original_name", sa.String(length=256), nullable=True),
        sa.Column("audio_url", sa.String(length=2048), nullable=True),
        sa.Column("audio_key", sa.String(length=512), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("media_type", sa.String(length=128), nullable=True),
        sa.Column("container", sa.String(length=32), nullable=True),
        sa.Column("codec", sa.String(length=64), nullable=True),
        sa.Column("channel_count", sa.Integer(), nullable=True),
        sa.Column("sample_rate_hz", sa.Integer(), nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("duration_estimated", sa.Boolean(), nullable=False),
        sa.Column(
            "warnings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.String(length=1024), nullable=True),
        sa.Column("error_reason", sa.String(length=64), nullable=True),
        sa.Column("error_retryable", sa.Boolean(), nullable=True),
        sa.Column(
            "created_at",
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
        sa.Column("transcript_key", sa.String(length=512), nullable=True),
        sa.Column("transcript_sha256", sa.String(length=64), nullable=True),
        sa.Column("insights_key", sa.String(length=512), nullable=True),
        sa.Column("insights_sha256", sa.String(length=64), nullable=True),
        sa.Column("segment_count", sa.Integer(), nullable=True),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column("detected_language", sa.String(length=35), nullable=True),
        sa.Column("language_confidence", sa.Float(), nullable=True),
        sa.Column(
            "model", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "timings", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("calljob_name", sa.String(length=253), nullable=True),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_calls_company_id")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_calls_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
    )
    op.create_index(
        op.f("ix_calls_company_id_created_at_id"),
        "calls",
        ["company_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_calls_company_id_external_id"),
        "calls",
        ["company_id", "external_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_calls_company_id_status_created_at_id"),
        "calls",
        ["company_id", "status", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_calls_company_id_updated_at_id"),
        "calls",
        ["company_id", "updated_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_calls_company_id_user_id_created_at_id"),
        "calls",
        ["company_id", "user_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_calls_company_id_worker_id"), "calls", ["company_id", "worker_id"], unique=False
    )
    op.create_index(
        "ix_calls_unassigned_extension",
        "calls",
        ["company_id", "extension_id"],
        unique=False,
        postgresql_where=sa.text("user_id IS NULL AND extension_id IS NOT NULL"),
    )
    op.create_index(
        "uq_calls_audio",
        "calls",
        ["company_id", "sha256"],
        unique=True,
        postgresql_where=sa.text("NOT allow_duplicate AND status NOT IN ('failed', 'cancelled')"),
    )
    op.create_table(
        "insights",
        sa.Column("call_id", sa.Uuid(), nullable=False),
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
            ["call_id"], ["calls.id"], name=op.f("fk_insights_call_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_insights_company_id")
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_insights")),
    )
    op.create_table(
        "segments",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("speaker", sa.String(length=64), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "agent",
                "customer",
                "unknown",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="unknown",
            nullable=False,
        ),
        sa.Column("start_seconds", sa.Float(), nullable=False),
        sa.Column("end_seconds", sa.Float(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column(
            "words", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "sentiment", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('simple'::regconfig, text)", persisted=True),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_segments_call_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_segments_company_id")
        ),
        sa.PrimaryKeyConstraint("call_id", "index", name=op.f("pk_segments")),
    )
    for table in ("companies", *OF_A_COMPANY):
        row_security.protect(table, "id" if table == "companies" else "company_id")


def downgrade() -> None:
    for table in (*reversed(OF_A_COMPANY), "companies"):
        op.drop_table(table)
