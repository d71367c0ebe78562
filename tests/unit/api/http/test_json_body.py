"""JSON from clients: how deep it may be nested."""

import pytest
from parlance.api.domain.calls.uploads import fields
from parlance.api.http import json_body
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem

MAX_DEPTH = json_body.MAX_DEPTH


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
