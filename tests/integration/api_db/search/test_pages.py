"""Pages of hits: what is found, in which order, within which filters, and how much a page costs."""

import functools
import uuid

import pytest
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.search import highlights
from parlance.api.domain.search.pages import RowLimits
from parlance.api.domain.tickets import searching
from parlance.api.http.errors import Refused
from parlance.contracts.calls import CallStatus
from sqlmodel import col

from tests.integration.api_db.search import support
from tests.integration.api_db.support import Tenant

WAYS = {"checked one by one": RowLimits(), "named by the index": RowLimits(first=(1,))}
"""Both ways to a page, which need many rows to differ otherwise."""


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> RowLimits:
    return WAYS[request.param]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refund", [2, 1, 0]),
        ("REFUND", [2, 1, 0]),
        ("refund invoice", [1]),
        ('"the refund"', [2, 0]),
        ('"refund the"', []),
        ("invoice or hello", [3, 1]),
        ("refund -invoice", [2, 0]),
        ('refund -"the refund"', [1]),
        ("refun*", [2, 1, 0]),
        ("invoice refun*", [1]),
        ("refun", []),
        ("größe", [3]),
        ("o'brien", [3]),
        ("re-open", [2]),
        ("ann@example.com", [0]),
        ('refund -"never there"', [2, 1, 0]),
        ("?!", []),
        ("-refund", []),
    ],
)
async def test_what_a_query_finds(
    database: Database,
    acme: Tenant,
    globex: Tenant,
    way: RowLimits,
    text: str,
    expected: list[int],
) -> None:
    texts = [
        "Where is the refund? ann@example.com",
        "An invoice for a refund",
        "The refund, re-open it",
        "hello O'Brien, größe",
    ]
    await support.add_ticket(database, globex, *texts)
    await support.add_call(database, globex, *texts)
    tickets = [
        await support.add_ticket(database, acme, each, place=place)
        for place, each in enumerate(texts)
    ]
    calls = [
        await support.add_call(database, acme, "first", each, place=place)
        for place, each in enumerate(texts)
    ]

    found = await support.search_tickets(database, acme, text, row_limits=way)
    found_calls = await support.search_calls(database, acme, text, row_limits=way)

    assert support.list_ids(found) == [tickets[place] for place in expected]
    assert support.list_call_ids(found_calls) == [calls[place] for place in expected]


async def test_a_ticket_is_found_by_words_of_several_messages_and_of_its_subject(
    database: Database, acme: Tenant
) -> None:
    ticket = await support.add_ticket(database, acme, "one", "two", subject="three")

    assert support.list_ids(await support.search_tickets(database, acme, "three two one")) == [
        ticket
    ]


async def test_a_call_is_found_by_the_words_of_one_segment(
    database: Database, acme: Tenant
) -> None:
    await support.add_call(database, acme, "one", "two")

    assert (await support.search_calls(database, acme, "one two")).items == []


async def test_pages_follow_each_other_without_gap_or_repeat(
    database: Database, acme: Tenant, way: RowLimits
) -> None:
    added = [
        await support.add_ticket(database, acme, "red" if place % 3 else "blue", place=place)
        for place in range(30)
    ]
    expected = [ticket for place, ticket in enumerate(added) if place % 3][::-1]
    seen: list[uuid.UUID] = []
    cursor = None
    while True:
        found = await support.search_tickets(
            database, acme, "red", limit=4, cursor=cursor, row_limits=way
        )
        seen += support.list_ids(found)
        cursor = found.page.next_cursor
        if cursor is None:
            break
        assert len(found.page.items) == 4

    assert seen == expected


@pytest.mark.parametrize("way_of_check", ["phrase", "beginning"])
async def test_a_page_that_costs_too_much_ends_early_and_goes_on(
    database: Database, acme: Tenant, way_of_check: str
) -> None:
    few = RowLimits(first=(1,), named=5)
    text = {"phrase": '"red car"', "beginning": "red carp*"}[way_of_check]
    wanted = {0: "a red car or a carpet that is red", 11: "red car carpet"}
    added = [
        await support.add_ticket(database, acme, wanted.get(place, "car, red"), place=place)
        for place in range(14)
    ]
    seen: list[uuid.UUID] = []
    sizes: list[int] = []
    cursor = None
    while True:
        found = await support.search_tickets(database, acme, text, cursor=cursor, row_limits=few)
        seen += support.list_ids(found)
        sizes.append(len(found.page.items))
        cursor = found.page.next_cursor
        if cursor is None:
            break

    assert seen == [added[11], added[0]]
    assert sizes == [1, 0, 1]


async def test_other_filters_hold(database: Database, acme: Tenant, way: RowLimits) -> None:
    for place in range(6):
        await support.add_ticket(
            database, acme, "red", place=place, status="open" if place % 2 else "closed"
        )
        await support.add_call(
            database,
            acme,
            "red",
            place=place,
            status=CallStatus.COMPLETED if place % 2 else CallStatus.FAILED,
        )
    is_open = col(tables.Ticket.status) == "open"
    tickets = await support.search_tickets(database, acme, "red", is_open, row_limits=way)
    calls = await support.search_calls(
        database, acme, "red", status=CallStatus.COMPLETED, row_limits=way
    )

    moments = [support.build_moment(place) for place in (5, 3, 1)]
    assert [key.at for key in tickets.page.items] == moments
    assert [item.call.created_at for item in calls.items] == moments


async def test_with_updated_since_the_oldest_change_comes_first(
    database: Database, acme: Tenant, way: RowLimits
) -> None:
    added = [await support.add_call(database, acme, "red", place=place) for place in range(5)]
    since = support.build_moment(1)
    first = await support.search_calls(
        database, acme, "red", updated_since=since, limit=3, row_limits=way
    )
    second = await support.search_calls(
        database,
        acme,
        "red",
        updated_since=since,
        limit=3,
        cursor=first.next_cursor,
        row_limits=way,
    )

    assert support.list_call_ids(first) == added[1:4]
    assert support.list_call_ids(second) == added[4:]


async def test_highlights_of_a_ticket_are_its_best_messages(
    database: Database, acme: Tenant
) -> None:
    ticket = await support.add_ticket(
        database, acme, "a refund", "no", "refund of <b>money</b>", subject="Money"
    )
    found = await support.search_tickets(database, acme, "refund money")

    best, *others = found.highlights[ticket]
    assert (best.field, best.index) == ("message", 2)
    assert [(part.text, part.match) for part in best.parts] == [
        ("refund", True),
        (" of <b>", False),
        ("money", True),
        ("</b>", False),
    ]
    assert [(each.field, each.index) for each in others] == [("subject", None), ("message", 0)]


async def test_highlights_of_a_call_are_segments_that_match(
    database: Database, acme: Tenant
) -> None:
    await support.add_call(database, acme, "no", *["the refund"] * 5, "refund")
    page = await support.search_calls(database, acme, '"the refund"')

    [item] = page.items
    assert item.highlights is not None
    assert [(each.field, each.index) for each in item.highlights] == [
        ("segment", index) for index in range(1, 1 + highlights.MAX_HIGHLIGHTS)
    ]


async def test_huge_conversations_are_found_without_highlights(
    database: Database, acme: Tenant
) -> None:
    small = await support.add_ticket(database, acme, "a refund", place=1)
    # As it is stored it has a hundredth of that.
    await support.add_ticket(database, acme, "refund " * 10_000, place=0)
    few_bytes = functools.partial(searching.fetch_texts, max_bytes=4000)
    found = await support.search_tickets(database, acme, "refund", fetch_texts=few_bytes)

    assert len(found.page.items) == 2
    assert list(found.highlights) == [small]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 256,
        "a " * 128,
        "a or " * 51,
        '"' * 255,
        '"a b" ' * 42,
        "-a " * 85 + "b",
        "&|!():*<->",
        "'; DROP TABLE calls; --",
        "abc* " * 51,
        "a\\ b\\' c:*D <2> e",
        "\ud7ff\ufffe\U0010ffff a",
        "%_ \x01\x7f a",
        "a'b'''' \"c'd\"",
    ],
)
async def test_hostile_text_is_only_a_query(
    database: Database, acme: Tenant, way: RowLimits, text: str
) -> None:
    await support.add_ticket(database, acme, "something else")
    await support.add_ticket(database, acme, "something else")
    await support.add_call(database, acme, "something else")
    await support.add_call(database, acme, "something else")

    tickets = await support.search_tickets(database, acme, text, row_limits=way)
    calls = await support.search_calls(database, acme, text, row_limits=way)

    assert tickets.page.items == []
    assert calls.items == []


@pytest.mark.parametrize("text", ["red", "?!"])
async def test_a_cursor_of_nothing_is_refused(database: Database, acme: Tenant, text: str) -> None:
    with pytest.raises(Refused):
        await support.search_tickets(database, acme, text, cursor="nonsense")


async def test_words_that_postgres_finds_are_marked(database: Database, acme: Tenant) -> None:
    """The marks are made in Python; words with marks of their own have to be the same there."""
    text = "O'Brien, ÉTÉ re-open x@y.de 3.14 https://a.de/b?c foo_bar Straße ПРИВЕТ"
    ticket = await support.add_ticket(database, acme, text)
    for query in ("o'brien", "été", "re-open", "x@y.de", "3.14", "bar", "straße", "привет"):
        found = await support.search_tickets(database, acme, query)

        assert support.list_ids(found) == [ticket], query
        assert found.highlights[ticket], query
