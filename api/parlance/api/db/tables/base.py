"""What every table is made of: the base class and the kinds of columns.

The columns of a table are declared with these functions, so that the same thing is stored in the
same way everywhere.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.contracts import ids
from pydantic import JsonValue
from sqlalchemy.dialects import postgresql as pg
from sqlmodel import Field, SQLModel

Json = dict[str, JsonValue]

KIND_LENGTH = 16


class Table(SQLModel):
    """Base: one metadata with stable constraint names, which migrations rely on."""

    metadata: ClassVar[sa.MetaData] = sa.MetaData(  # pyright: ignore[reportIncompatibleVariableOverride]  # as SQLModel documents it
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def utc_now() -> datetime:
    return datetime.now(UTC)


def id_column() -> Any:
    return Field(default_factory=ids.new_uuid7, sa_column=sa.Column(sa.Uuid, primary_key=True))


def company_column(*, primary_key: bool = False) -> Any:
    key = sa.ForeignKey("companies.id")
    return Field(sa_column=sa.Column(sa.Uuid, key, nullable=False, primary_key=primary_key))


def kind_column() -> Any:
    """What a row is about (`call`, `ticket`...), the first part of a key with `subject_id`.

    Plain text without a CHECK: a new kind of work needs no migration of the tables that all kinds
    share.
    """
    return Field(sa_column=sa.Column(sa.String(KIND_LENGTH), primary_key=True))


def subject_column() -> Any:
    """The id of the call, ticket... that a row is about; no foreign key, since it may be gone."""
    return Field(sa_column=sa.Column(sa.Uuid, primary_key=True))


def created_column() -> Any:
    kind = sa.DateTime(timezone=True)
    return Field(
        default_factory=utc_now,
        sa_column=sa.Column(kind, nullable=False, server_default=sa.func.now()),
    )


def moment_column() -> Any:
    return Field(default=None, sa_column=sa.Column(sa.DateTime(timezone=True), nullable=True))


def choice_column(kind: type[StrEnum], default: StrEnum) -> Any:
    """Text with a CHECK: a new value is a cheap migration."""
    text = sa.Enum(
        kind,
        name=kind.__name__.lower(),
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )
    return Field(
        default=default,
        sa_column=sa.Column(text, nullable=False, server_default=default.value),
    )


def json_object_column(name: str | None = None) -> Any:
    column: sa.Column[Any] = sa.Column(pg.JSONB, nullable=False, server_default="{}")
    if name:
        column.name = name
    return Field(default_factory=dict, sa_column=column)


def json_list_column() -> Any:
    return Field(
        default_factory=list, sa_column=sa.Column(pg.JSONB, nullable=False, server_default="[]")
    )


def json_or_none_column() -> Any:
    return Field(default=None, sa_column=sa.Column(pg.JSONB(none_as_null=True), nullable=True))


def add_search_index(table: sa.Table) -> None:
    """To a table that has a column `search`; `db.search` says why the index is made so."""
    sa.Index(
        f"ix_{table.name}_search",
        sa.text("(ARRAY[company_id])"),
        table.c.search,
        postgresql_using="gin",
        _table=table,
    )
