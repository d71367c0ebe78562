"""JSON from clients, read strictly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.api.domain.calls.uploads import fields
from parlance.api.http import json_body
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem

MAX_DEPTH = json_body.MAX_DEPTH
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    # Neither NUL nor lone surrogates.
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=20,
)  # fmt: skip


def refusal(data: bytes | str) -> str:
    with pytest.raises(Refused) as caught:
        json_body.parse_json(data)
    return caught.value.problem.code


@given(VALUES, st.booleans())
def test_clean_json_is_read_as_it_is(value: Any, is_ascii: bool) -> None:
    assert json_body.parse_json(json.dumps(value, ensure_ascii=is_ascii).encode()) == value


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert json_body.parse_json(b"\xef\xbb\xbf7") == 7


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed_request"),
        (b"{", "malformed_request"),
        (b"NaN", "malformed_request"),
        (b"[-1e999]", "malformed_request"),
        (b"1" * 5000, "malformed_request"),
        (b"[" * 33 + b"]" * 33, "malformed_request"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "malformed_request"),
        (b"[" * 1_000_000, "malformed_request"),
        (b'[{"a": 1, "b": 2, "a": 1}]', "duplicate_field"),
        (b'{"a": 1, "\\u0061": 1}', "duplicate_field"),
        (b'["\xff"]', "invalid_text"),
        (b'"\\u0000"', "invalid_text"),
        (b'{"\\uD800": 1}', "invalid_text"),
        (b'"\\udc00\\ud800"', "invalid_text"),
        ('"\udc80"', "invalid_text"),
    ],
)
def test_what_is_not_clean_is_refused(data: bytes | str, code: str) -> None:
    assert refusal(data) == code


def test_pairs_of_surrogates_are_one_character() -> None:
    assert json_body.parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def nest_arrays(depth: int) -> str:
    return "[" * depth + "]" * depth


def nest_objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def test_json_may_be_nested_up_to_the_limit() -> None:
    value = json_body.parse_json(nest_objects(MAX_DEPTH))
    for _ in range(MAX_DEPTH):
        value = value["a"]

    assert value == 1
    assert json_body.parse_json(nest_arrays(MAX_DEPTH)) != []


# Near 1000 Python gives up by itself, in the parser or in what walks through its result.
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, *range(900, 1000, 5), 100_000])
def test_json_that_is_nested_deeper_is_refused(depth: int) -> None:
    for text in (nest_arrays(depth), nest_objects(depth)):
        with pytest.raises(Refused) as refusal:
            json_body.parse_json(text)

        assert refusal.value.problem is Problem.MALFORMED_REQUEST


def test_metadata_nested_up_to_the_limit_is_taken() -> None:
    body = f'{{"metadata":{nest_objects(MAX_DEPTH - 1)}}}'

    assert fields.parse_fields(json_body.parse_object(body)).metadata != {}
