"""Answers that are given again to a repeated request."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.api.db.tables import base
from parlance.api.db.tables.base import Json, Table
from sqlmodel import Field


class IdempotencyKey(Table, table=True):
    """The first answer to a POST with an Idempotency-Key; kept 24 hours."""

    __tablename__: ClassVar[Any] = "idempotency_keys"
    __table_args__ = (sa.Index(None, "created_at"),)

    company_id: uuid.UUID = base.company_column(primary_key=True)
    key: str = Field(max_length=255, primary_key=True)
    request_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    status: int | None = None
    """None while the first request still runs."""
    headers: Json = base.json_object_column()
    body: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    created_at: datetime = base.created_column()
