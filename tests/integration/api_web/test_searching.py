"""`GET /api/calls?q=` over a real socket."""

import httpx
import pytest

from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api


async def add_completed(api: Api, account: Account, count: int = 1) -> list[str]:
    ids = [await support.add_call(api.database, account) for _ in range(count)]
    for call_id in ids:
        await support.complete(api.database, account, call_id)
    return ids


async def test_a_found_call_shows_where(api: Api, client: httpx.AsyncClient, acme: Account) -> None:
    [call_id] = await add_completed(api, acme)
    await support.add_call(api.database, acme)
    page = (await client.get("/api/calls?q=ANN", headers=support.authorize(acme))).json()

    [item] = page["items"]
    assert item["id"] == call_id
    assert item["highlights"] == [
        {
            "field": "segment",
            "index": 0,
            "parts": [
                {"text": "Hello, this is <b>", "match": False},
                {"text": "Ann", "match": True},
                {"text": "</b>.", "match": False},
            ],
        }
    ]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("query", ["", "?q=", "?q=%20"])
async def test_without_a_query_there_are_no_highlights(
    api: Api, client: httpx.AsyncClient, acme: Account, query: str
) -> None:
    await add_completed(api, acme)
    page = (await client.get(f"/api/calls{query}", headers=support.authorize(acme))).json()

    [item] = page["items"]
    assert "highlights" not in item


async def test_pages_of_hits_follow_each_other(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    added = await add_completed(api, acme, 3)
    seen, cursor = [], ""
    while cursor is not None:
        url = f"/api/calls?q=help&status=completed&limit=2&cursor={cursor}".removesuffix("&cursor=")
        page = (await client.get(url, headers=support.authorize(acme))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]

    assert seen == added[::-1]


async def test_another_company_finds_nothing(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    await add_completed(api, acme)
    globex = await support.add_account(api.database, "globex")

    response = await client.get("/api/calls?q=ann", headers=support.authorize(globex))

    assert response.json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("x" * 257, 422),
        ("a " * 10_000, 422),
        ("a%00b", 422),
        ("%ED%A0%80", 200),
        ("%FF%FE", 200),
        ('"' * 255, 200),
        ("%26|!():*", 200),
        ("a or " * 51, 200),
        ("-a", 200),
    ],
)
async def test_hostile_text_gets_an_ordinary_answer(
    client: httpx.AsyncClient, acme: Account, text: str, status: int
) -> None:
    response = await client.get(f"/api/calls?q={text}", headers=support.authorize(acme))

    assert response.status_code == status
