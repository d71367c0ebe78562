"""Requests with tickets on the running stack: bulk answers, replays, limits, JSON, keys."""

from typing import Any

import pytest

from tests.e2e import ticket_desk
from tests.e2e.ticket_desk import PATH, Desk, Json, require_accepted, require_problem, talk

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = "Hello, where is my order?"
NOBODYS = "00000000-0000-7000-8000-000000000000"


def count(
    success: bool, *, created: int = 0, updated: int = 0, unchanged: int = 0, failed: int = 0
) -> Json:
    """The members of a bulk answer beside its results."""
    counts = {"created": created, "updated": updated, "unchanged": unchanged, "failed": failed}
    return {"success": success, **counts}


def take_errors(result: Json) -> list[tuple[str, str]]:
    """Pointers and codes of a failed item, which are taken out of it, as is its text."""
    assert result.pop("detail")
    errors = result.pop("errors")
    assert all(error.keys() == ticket_desk.ERROR_MEMBERS for error in errors)
    return [(error["pointer"], error["code"]) for error in errors]


async def test_bulk_of_which_all_are_accepted(desk: Desk) -> None:
    items = [talk(ASK), {"text": "Agent: Good morning.\nCustomer: Hello."}, {"text": "no speakers"}]

    answer = await desk.send({"tickets": items})

    body = answer.json()
    results = body.pop("results")
    assert (answer.status_code, body) == (200, count(True, created=3))
    ids = [result.pop("ticket_id") for result in results]
    assert ticket_desk.list_codes(results[2].pop("warnings")) == ["conversation_unparsed"]
    assert results == [
        {"index": 0, "status": 201, "outcome": "created"},
        {"index": 1, "status": 201, "outcome": "created", "parse_confidence": 1.0},
        {"index": 2, "status": 201, "outcome": "created", "parse_confidence": 0.0},
    ]
    assert [(await desk.finish(id_))["lane"] for id_ in ids] == ["standard"] * 3


async def test_bulk_of_which_some_are_accepted(desk: Desk) -> None:
    ids = [await desk.create(talk(ASK, external_id=name)) for name in ("same", "conflict")]
    items: list[Any] = [
        talk(ASK, external_id="same"),
        talk("New", external_id="conflict"),
        talk("x" * (64 * 1024 + 1)),
        talk(*["Hi"] * 2001),
        {"messages": [{"role": "robot", "text": "Hi"}], "tags": 7},
        "no object",
        talk(ASK, external_id="new"),
    ]

    answer = await desk.send({"tickets": items})

    body = answer.json()
    results = body.pop("results")
    assert (answer.status_code, body) == (207, count(False, created=1, unchanged=1, failed=5))
    assert [take_errors(result) for result in results[1:6]] == [
        [("/tickets/1/external_id", "ticket_conflict")],
        [("/tickets/2/messages/0/text", "text_too_long")],
        [("/tickets/3/messages", "too_many_messages")],
        [("/tickets/4/tags", "list_type"), ("/tickets/4/messages/0/role", "invalid_role")],
        [("/tickets/5", "validation_failed")],
    ]
    limits = {"max_message_bytes": 64 * 1024, "max_text_bytes": 1024 * 1024}
    assert results == [
        {"index": 0, "status": 200, "ticket_id": ids[0], "outcome": "unchanged"},
        {"index": 1, "status": 409, "code": "ticket_conflict", "existing_ticket_id": ids[1]},
        {"index": 2, "status": 413, "code": "text_too_long", **limits},
        {"index": 3, "status": 413, "code": "too_many_messages", "max_messages": 2000},
        {"index": 4, "status": 422, "code": "validation_failed"},
        {"index": 5, "status": 422, "code": "validation_failed"},
        {"index": 6, "status": 201, "ticket_id": results[6]["ticket_id"], "outcome": "created"},
    ]


async def test_bulk_that_replaces(desk: Desk) -> None:
    ticket_id = await desk.create(talk(ASK, external_id="replaced"))

    answer = await desk.send({"tickets": [talk("New", external_id="replaced")]}, mode="upsert")

    result = {"index": 0, "status": 200, "ticket_id": ticket_id, "outcome": "updated"}
    assert answer.status_code == 200
    assert answer.json() == count(True, updated=1) | {"results": [result]}


async def test_bulk_of_which_none_is_accepted(desk: Desk) -> None:
    answer = await desk.send({"tickets": [{"text": " "}, {"subject": "x"}]})

    body = answer.json()
    results = [dict(result) for result in body["results"]]
    errors = [error for result in results for error in take_errors(result)]
    assert results == [
        {"index": 0, "status": 422, "code": "conversation_empty"},
        {"index": 1, "status": 422, "code": "conversation_required"},
    ]
    require_problem(
        answer, 422, "validation_failed", errors, **count(False, failed=2), results=body["results"]
    )
    assert errors == [
        ("/tickets/0/text", "conversation_empty"),
        ("/tickets/1/messages", "conversation_required"),
    ]


async def test_a_request_with_an_idempotency_key_is_replayed(desk: Desk) -> None:
    headers = {"Idempotency-Key": "replayed"}
    bodies = (talk(ASK), talk(ASK), talk("Another"))

    first, again, other = [await desk.http.post(PATH, json=b, headers=headers) for b in bodies]

    assert require_accepted(first, "created") == require_accepted(again, "created")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    require_problem(other, 422, "idempotency_mismatch", success=False)


MALFORMED = [
    (b'{"text": ', "broken"),
    (b'["text"]', "no object"),
    (b'{"metadata": {"a": NaN}}', "NaN"),
]
BODIES = [
    *(pytest.param(data, 400, "malformed_request", [], {}, id=name) for data, name in MALFORMED),
    pytest.param(
        b'{"text": "Hi", "metadata": {"a": ' + b"[" * 31 + b"]" * 31 + b"}}",
        400, "malformed_request", [], {}, id="nested deeper than 32",
    ),
    pytest.param(
        b'{"text": "a", "text": "b"}',
        400, "duplicate_field", [("/text", "duplicate_field")], {}, id="key twice",
    ),
    pytest.param(
        b'{"messages": [{"role": "agent", "text": "a", "role": "bot"}]}',
        400, "duplicate_field", [("/role", "duplicate_field")], {}, id="key twice further down",
    ),
    *(
        pytest.param(data, 400, "invalid_text", [], {}, id=name)
        for data, name in [
            (b'{"text": "\\u0000"}', "NUL"),
            (b'{"text": "\\ud800"}', "lone surrogate"),
            (b'{"text": "\xff"}', "invalid UTF-8"),
        ]
    ),
    pytest.param(
        b'{"tickets": []}',
        422, "items_required", [("/tickets", "items_required")], {}, id="empty array",
    ),
    pytest.param(
        b'{"text": "Hi", "subject": 7}',
        422, "validation_failed", [("/subject", "string_type")], {}, id="number for a text",
    ),
    pytest.param(
        b'{"tickets": [' + b",".join([b'{"text": "Hi"}'] * 1001) + b"]}",
        413, "too_many_items", [], {"max_items": 1000}, id="over 1,000 tickets",
    ),
    pytest.param(
        b" " * (16 * 1024 * 1024 + 1),
        413, "too_large", [], {"max_bytes": 16 * 1024 * 1024}, id="over 16 MiB",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "status", "code", "errors", "members"), BODIES)
async def test_a_body_that_is_refused_as_a_whole(
    desk: Desk, data: bytes, status: int, code: str, errors: list[tuple[str, str]], members: Json
) -> None:
    headers = {"Content-Type": "application/json"}

    answer = await desk.http.post(PATH, content=data, headers=headers)

    require_problem(answer, status, code, errors, success=False, **members)


async def test_json_that_is_nested_32_deep_is_read(desk: Desk) -> None:
    nested: Any = "x"
    for _ in range(30):
        nested = [nested]

    answer = await desk.send({"text": "Customer: Hello", "metadata": {"a": nested}})

    require_accepted(answer, "created", parse_confidence=answer.json()["parse_confidence"])


async def test_another_content_type_is_refused(desk: Desk) -> None:
    answer = await desk.http.post(PATH, data={"text": "Hi"})

    require_problem(answer, 415, "unsupported_content_type", success=False)


async def test_unknown_fields_are_warned_of_or_refused(desk: Desk) -> None:
    body = talk(ASK, colour="red", customer={"vip": True})

    require_accepted(await desk.send(body), "created", "unknown_field", "unknown_field")
    require_problem(
        await desk.send(body, strict=1), 422, "unknown_field",
        [("/colour", "unknown_field"), ("/customer/vip", "unknown_field")], success=False,
    )  # fmt: skip


async def test_the_key_may_stand_in_the_body(desk: Desk) -> None:
    body = talk(ASK) | {"api_key": desk.http.headers["X-Api-Key"]}

    require_accepted(await desk.send_without_key(body), "created")
    for wrong in ("pk_x", None):
        refused = await desk.send_without_key(body | {"api_key": wrong})
        require_problem(refused, 401, "unauthenticated", success=False)
    other = await desk.send(body | {"api_key": desk.keys["calls"]})
    require_problem(other, 400, "conflicting_credentials", success=False)


READS: list[tuple[str, str, Json]] = [
    ("GET", "", {}),
    ("GET", f"/{NOBODYS}", {}),
    ("GET", f"/{NOBODYS}/insights", {}),
    ("GET", f"/{NOBODYS}/events", {}),
]
WRITES: list[tuple[str, str, Json]] = [
    ("POST", "/upload", {"success": False}),
    ("PATCH", f"/{NOBODYS}", {}),
    ("POST", f"/{NOBODYS}/reanalyze", {}),
    ("DELETE", f"/{NOBODYS}", {}),
]


@pytest.mark.parametrize(
    ("kind", "method", "path", "members"),
    [
        pytest.param(kind, *operation, id=f"{kind} {operation[0]} {operation[1]}")
        for kind, operations in (("calls", READS + WRITES), ("reads", WRITES))
        for operation in operations
    ],
)
async def test_a_key_without_the_scope_is_refused(
    desk: Desk, kind: str, method: str, path: str, members: Json
) -> None:
    key = {"X-Api-Key": desk.keys[kind]}

    answer = await desk.http.request(method, f"/api/tickets{path}", headers=key, json={})

    require_problem(answer, 403, "forbidden", **members)
