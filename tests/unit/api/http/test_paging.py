"""Cursors: only what was given out is taken back."""

import base64
import uuid
from datetime import UTC, datetime

import pytest
from parlance.api.http import paging
from parlance.api.http.errors import Refused
from parlance.api.http.paging import Key
from parlance.contracts.problems import Problem

ID = "018f4a3c-5b1e-7c22-9d47-2f0c4a9c1b11"


def test_a_cursor_comes_back_as_it_was() -> None:
    key = Key(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), uuid.UUID(ID))

    assert paging.parse_cursor(paging.format_cursor(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "",
        "é",
        f'["0001-01-01T00:00:00+14:00","{ID}"]',
        f'["9999-12-31T23:59:59-14:00","{ID}"]',
        f'["2026-01-02T03:04:05","{ID}"]',
        '["2026-01-02T03:04:05Z","7"]',
        "[]",
    ],
)
def test_a_forged_cursor_is_refused(text: str) -> None:
    encoded = base64.urlsafe_b64encode(text.encode()).decode() if text[:1] == "[" else text
    with pytest.raises(Refused) as refusal:
        paging.parse_cursor(encoded)

    assert refusal.value.problem is Problem.VALIDATION_FAILED
    assert [error.pointer for error in refusal.value.errors] == ["/cursor"]


def test_a_page_tells_whether_another_one_follows() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [Key(moment, uuid.UUID(int=number)) for number in range(3)]

    full, last = (paging.build_page(rows, limit, lambda row: row) for limit in (2, 3))

    assert (full.items, full.next_cursor) == (rows[:2], paging.format_cursor(rows[1]))
    assert (last.items, last.next_cursor) == (rows, None)
