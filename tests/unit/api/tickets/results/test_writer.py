"""Which changes are written together."""

import asyncio
from collections import deque

import msgspec
from parlance.api.domain.tickets.results import writer
from parlance.api.domain.tickets.results.changes import Change
from parlance.api.domain.tickets.results.writer import Pending
from parlance.contracts.tickets import TicketState


def build(id_: str, *, insights: bytes | None = None) -> Change:
    data = msgspec.Raw(insights) if insights is not None else None
    return Change(id=id_, company_id="c", attempt=1, state=TicketState.COMPLETED, insights=data)


async def take_all(*changes: Change) -> list[list[str]]:
    loop = asyncio.get_running_loop()
    pending: deque[Pending] = deque((change, loop.create_future()) for change in changes)
    batches = []
    while pending:
        batches.append([change.id for change, _ in writer.take_batch(pending)])
    return batches


async def test_a_ticket_is_changed_once_in_a_batch() -> None:
    assert await take_all(build("a"), build("b"), build("a"), build("c")) == [
        ["a", "b"],
        ["a", "c"],
    ]


async def test_a_batch_ends_at_its_number_of_changes() -> None:
    batches = await take_all(*(build(str(n)) for n in range(writer.MAX_BATCH + 1)))

    assert [len(batch) for batch in batches] == [writer.MAX_BATCH, 1]


async def test_a_batch_ends_at_its_bytes_and_a_larger_change_goes_alone() -> None:
    half, more = b"x" * (writer.MAX_BATCH_BYTES // 2), b"x" * (writer.MAX_BATCH_BYTES + 1)
    changes = [build(name, insights=half) for name in "abc"]

    assert await take_all(*changes, build("d"), build("e", insights=more), build("f")) == [
        ["a", "b"],
        ["c", "d"],
        ["e"],
        ["f"],
    ]
