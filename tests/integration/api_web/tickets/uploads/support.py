"""Tickets as clients send them, and who takes them over from the API."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets.uploads import routes
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.errors import Permanent
from sqlalchemy.ext.asyncio import AsyncSession

PATH = routes.UPLOAD_PATH


@dataclass
class Sender:
    """Takes what the relay sends."""

    kind: str = Kind.TICKET
    sent: list[uuid.UUID] = field(default_factory=list)

    async def count_room(self, *, is_inline: bool) -> int:
        return 1000

    async def find_wanted(
        self, session: AsyncSession, subject_ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        return set(subject_ids)

    async def send(self, row: tables.OutboxRow) -> bool:
        self.sent.append(row.subject_id)
        return True

    async def give_up(self, row: tables.OutboxRow, refusal: Permanent) -> None:
        raise AssertionError


def talk(*texts: str, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": ("customer", "agent")[number % 2], "text": text}
        for number, text in enumerate(texts)
    ]
    return {"messages": messages, **more}


async def fetch_all(database: Database, table: type[tables.Table]) -> list[Any]:
    async with database.system_session() as session:
        return list((await session.scalars(sa.select(table))).all())
