"""A company, its users and its API keys."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.api.db.tables import base
from parlance.api.db.tables.base import Json, Table
from sqlmodel import Field


class UserRole(StrEnum):
    """What a signed-in user may do."""

    ADMIN = "admin"
    SUPERVISOR = "supervisor"
    AGENT = "agent"


class Company(Table, table=True):
    """A tenant. `slug` is its name on the bus, in object keys and in custom resources."""

    __tablename__: ClassVar[Any] = "companies"

    id: uuid.UUID = base.id_column()
    slug: str = Field(max_length=63, unique=True)
    """Never changes; the application role may not update it."""
    name: str = Field(max_length=256)
    time_zone: str = Field(default="UTC", max_length=64, sa_column_kwargs={"server_default": "UTC"})
    """IANA name; times that are sent without a zone are meant in it."""
    trackers: list[Json] = base.json_list_column()
    """`contracts.analysis.insights.TrackerRule` values."""
    created_at: datetime = base.created_column()


class User(Table, table=True):
    """An agent, a supervisor or an administrator."""

    __tablename__: ClassVar[Any] = "users"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "email"),
        sa.Index(None, "company_id", "extension_id"),
        sa.Index(None, "company_id", "created_at", "id"),
    )

    id: uuid.UUID = base.id_column()
    company_id: uuid.UUID = base.company_column()
    name: str = Field(max_length=256)
    email: str | None = Field(default=None, max_length=320)
    """Lower case. None: an agent who never signs in."""
    extension_id: str | None = Field(default=None, max_length=128)
    """The agent's id at the telephone system. Several users may share one: then it is ambiguous."""
    role: UserRole = base.choice_column(UserRole, UserRole.AGENT)
    password_hash: str | None = Field(default=None, max_length=256)
    """argon2id."""
    disabled_at: datetime | None = base.moment_column()
    created_at: datetime = base.created_column()


class ApiKey(Table, table=True):
    """An API key. The key itself is shown once and kept nowhere."""

    __tablename__: ClassVar[Any] = "api_keys"
    __table_args__ = (sa.Index(None, "company_id", "created_at", "id"),)

    id: str = Field(max_length=32, primary_key=True)
    """The key id that stands in the key's text."""
    company_id: uuid.UUID = base.company_column()
    name: str = Field(default="", max_length=256)
    sha256: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    """Of the whole text. Enough for 256 random bits; a slow hash would cost 150 ms a request."""
    scopes: list[str] = base.json_list_column()
    created_at: datetime = base.created_column()
    expires_at: datetime | None = base.moment_column()
    revoked_at: datetime | None = base.moment_column()
    last_used_at: datetime | None = base.moment_column()
    """Written at most once a minute."""
