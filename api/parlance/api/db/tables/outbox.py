"""What is still to be done outside Postgres, keyed by (kind, subject id)."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.api.db.tables import base
from parlance.api.db.tables.base import Json, Table
from parlance.contracts.calls import Priority
from sqlmodel import Field

PRIORITY_RANK = {Priority.INTERACTIVE: 0, Priority.STANDARD: 1, Priority.BULK: 2}
"""Order in which the outbox is served."""


class OutboxRow(Table, table=True):
    """Something to be done outside once the transaction is there. Deleted when it is done."""

    __tablename__: ClassVar[Any] = "outbox"
    __table_args__ = (
        sa.UniqueConstraint("kind", "subject_id"),
        # The order in which the relay sends the rows of one kind.
        sa.Index(None, "kind", "priority", "created_at", "id"),
    )

    id: uuid.UUID = base.id_column()
    company_id: uuid.UUID = base.company_column()
    kind: str = Field(max_length=base.KIND_LENGTH)
    """Of what is to be sent; any kind that has a handler (`outbox.relay`)."""
    subject_id: uuid.UUID
    payload: Json = base.json_object_column()
    """What the kind's handler sends; for a call the manifest of its CallJob."""
    priority: int = Field(sa_type=sa.SmallInteger)
    """`PRIORITY_RANK`: lower goes first."""
    attempts: int = 0
    next_at: datetime = base.created_column()
    created_at: datetime = base.created_column()


class Deletion(Table, table=True):
    """Something that was deleted: the work still to do outside, then the tombstone.

    It outlives the events of its subject, so that a late one cannot bring the subject back.
    """

    __tablename__: ClassVar[Any] = "deletions"
    __table_args__ = (
        sa.Index("ix_deletions_open", "next_at", postgresql_where=sa.text("finished_at IS NULL")),
        sa.Index(None, "finished_at"),
    )

    kind: str = base.kind_column()
    subject_id: uuid.UUID = base.subject_column()
    company_id: uuid.UUID = base.company_column()
    resource_name: str | None = Field(default=None, max_length=253)
    """Of the custom resource that asks for the work; None for kinds that have none."""
    attempts: int = 0
    next_at: datetime = base.created_column()
    created_at: datetime = base.created_column()
    finished_at: datetime | None = base.moment_column()
