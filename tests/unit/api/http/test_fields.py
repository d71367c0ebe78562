"""What areas share about the fields that clients send."""

import pytest
from parlance.api.http import fields
from parlance.api.http.errors import Refused


def test_unknown_fields_are_told() -> None:
    assert fields.check_unknown([], strict=True) == []
    assert fields.check_unknown(["colour"], strict=False) == [
        {"code": "unknown_field", "detail": "The field 'colour' is unknown."}
    ]


def test_unknown_fields_are_errors_when_strict() -> None:
    with pytest.raises(Refused) as caught:
        fields.check_unknown(["colour", "customer/vip"], strict=True)

    assert caught.value.problem.code == "unknown_field"
    assert [error.pointer for error in caught.value.errors] == ["/colour", "/customer/vip"]
