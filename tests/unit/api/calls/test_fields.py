"""The optional fields of a new call."""

import json
from datetime import UTC, datetime

import pytest
from parlance.api.domain.calls.uploads import fields
from parlance.api.http.errors import Refused
from parlance.api.http.fields import MAX_METADATA_BYTES
from parlance.contracts.calls import ChannelPolicy, Priority
from parlance.contracts.problems import Problem

USER_ID = "018f4a3c-5b1e-7c22-9d47-2f0c4a9c1b11"


def refusal(**values: object) -> Refused:
    with pytest.raises(Refused) as caught:
        fields.parse_fields(values)
    return caught.value


def test_blank_texts_count_as_absent() -> None:
    parsed = fields.parse_fields({"customer_name": " ", "user_id": "", "metadata": ""})

    assert parsed == fields.CallFields()


def test_everything_is_read_from_a_forms_texts() -> None:
    parsed = fields.parse_fields(
        {
            "customer_name": " Acme ",
            "user_id": USER_ID.upper(),
            "channels": "agent_left",
            "priority": "bulk",
            "recorded_at": "2026-01-02T03:04:05Z",
            "metadata": '{"a": [1]}',
            "redact_pii": "false",
            "allow_duplicate": "1",
        }
    )

    assert parsed.customer_name == "Acme"
    assert str(parsed.user_id) == USER_ID
    assert (parsed.channels, parsed.priority) == (ChannelPolicy.AGENT_LEFT, Priority.BULK)
    assert parsed.recorded_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert parsed.metadata == {"a": [1]}
    assert (parsed.redact_pii, parsed.allow_duplicate) == (False, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("customer_name", "x" * 257),
        ("order_id", "x" * 129),
        ("extension_id", "x" * 129),
        ("user_id", "7"),
        ("language", "English"),
        ("channels", "left"),
        ("priority", "now"),
        ("direction", "sideways"),
        ("recorded_at", "2026-01-02T03:04:05"),
        ("recorded_at", "0001-01-01T00:00:00+14:00"),
        ("metadata", {"note": "x" * 17_000}),
        ("metadata", "[]"),
        ("metadata", '{"a": "' + "x" * MAX_METADATA_BYTES + '"}'),
        ("redact_pii", "perhaps"),
        ("redact_pii", "true"),
    ],
)
def test_a_wrong_value_is_blamed_on_its_field(name: str, value: str) -> None:
    refused = refusal(**{name: value})

    assert refused.problem is Problem.VALIDATION_FAILED
    assert [error.pointer for error in refused.errors] == [f"/{name}"]


def test_the_longest_values_are_accepted() -> None:
    fields.parse_fields({"customer_name": "x" * 256, "order_id": "x" * 128})


@pytest.mark.parametrize("is_text", [True, False])
def test_metadata_is_measured_in_bytes_of_utf_8(is_text: bool) -> None:
    fits, exceeds = ({"a": "é" * count} for count in (8_000, 8_300))

    def given(value: dict[str, str]) -> object:
        return json.dumps(value, ensure_ascii=False) if is_text else value

    assert fields.parse_fields({"metadata": given(fits)}).metadata == fits
    assert [error.pointer for error in refusal(metadata=given(exceeds)).errors] == ["/metadata"]


def test_metadata_with_a_repeated_name_is_refused() -> None:
    assert refusal(metadata='{"a": 1, "a": 2}').problem is Problem.DUPLICATE_FIELD


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000])
def test_metadata_that_is_no_json_is_malformed(text: str) -> None:
    problem = refusal(metadata=text[:MAX_METADATA_BYTES]).problem

    assert problem is Problem.MALFORMED_REQUEST
