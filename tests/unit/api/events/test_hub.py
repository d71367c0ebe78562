"""Who gets which event, without a bus."""

import contextlib
from typing import Any

import pytest
from parlance.api.events import hub as hubs
from parlance.api.events.hub import Hub, Listener, Topic
from parlance.contracts.bus import envelopes
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.contracts.values import Value
from parlance.runtime.bus import StoredEvent

ACME, GLOBEX = CompanySlug("acme"), CompanySlug("globex")


class Note(Value):
    """Data of an event, whatever it is about."""

    text: str = "x"


def build_event(sequence: int, type_: str, subject: str = "1", company: Any = ACME) -> StoredEvent:
    event = envelopes.build_event(type_, Note(), company=company, subject=subject, attempt=1)
    return StoredEvent(sequence, event)


def build_hub() -> Hub:
    nothing: Any = None
    return Hub(nothing)


async def receive(listener: Listener, count: int) -> list[int]:
    assert listener._queue.qsize() == count
    return [(await listener.receive()).sequence for _ in range(count)]


async def test_an_event_is_encoded_once_for_all_who_listen() -> None:
    hub = build_hub()
    topics = [hubs.build_topic(ACME, Kind.CALL, "1"), Topic(ACME, frozenset({Kind.CALL}))]
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(hub.listen(topic)) for topic in topics * 2]
        hub._spread(build_event(1, "call.started"))
        frames = [(await listener.receive()).frame for listener in listeners]

    assert frames[0].startswith(b"id: 1\nevent: call.started\n")
    assert all(frame is frames[0] for frame in frames)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (hubs.build_topic(ACME, Kind.CALL, "1"), [1]),
        (hubs.build_topic(ACME, Kind.TICKET, "1"), [3]),
        (Topic(ACME, frozenset({Kind.CALL})), [1, 2]),
        (Topic(ACME, frozenset({Kind.CALL, Kind.TICKET})), [1, 2, 3]),
        (Topic(GLOBEX, frozenset({Kind.CALL})), [4]),
    ],
)
async def test_a_listener_gets_what_it_may_see_and_wants(topic: Topic, expected: list[int]) -> None:
    hub = build_hub()
    with hub.listen(topic) as listener:
        hub._spread(build_event(1, "call.started"))
        hub._spread(build_event(2, "call.started", subject="2"))
        hub._spread(build_event(3, "ticket.created"))
        hub._spread(build_event(4, "call.started", company=GLOBEX))
        hub._spread(build_event(5, "invoice.paid"))

        assert await receive(listener, len(expected)) == expected
    assert hub._listeners == {}
