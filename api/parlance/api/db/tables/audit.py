"""Who did what."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.api.db.tables import base
from parlance.api.db.tables.base import Json, Table
from sqlmodel import Field


class AuditEntry(Table, table=True):
    """One thing that somebody did. The application role may insert and read, never change."""

    __tablename__: ClassVar[Any] = "audit"
    __table_args__ = (sa.Index(None, "company_id", "id"),)

    id: uuid.UUID = base.id_column()
    company_id: uuid.UUID = base.company_column()
    at: datetime = base.created_column()
    actor: str = Field(max_length=128)
    """`key:<id>`, `user:<id>` or `system:<process>`."""
    action: str = Field(max_length=64)
    """`call.created`, `call.deleted`..."""
    subject: str = Field(max_length=128)
    detail: Json = base.json_object_column()
