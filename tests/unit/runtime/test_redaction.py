"""Secrets of addresses go, everything else stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.runtime import redaction

characters = st.characters(exclude_categories=["C", "Z"])


@given(st.text(characters, min_size=1), st.text(characters))
def test_no_query_survives_in_json_and_the_line_stays_json(query: str, path: str) -> None:
    address = f"https://pbx.example/{path.replace('?', '')}"
    line = json.dumps({"event": f"GET {address}?{query} failed", "next": [1]})

    redacted = json.loads(redaction.redact_addresses(line))

    assert redacted == {"event": f"GET {address}?[removed] failed", "next": [1]}


@pytest.mark.parametrize(
    ("line", "redacted"),
    [
        (
            "nats://worker:pw@a:4222,nats://worker:pw@b:4222",
            "nats://[removed]@a:4222,nats://[removed]@b:4222",
        ),
        ("for url 'https://a/b?c=d'\nmore", "for url 'https://a/b?[removed]\nmore"),
        ("Redirect location: '/b?c=d'", "Redirect location: '/b?[removed]"),
        (
            "Is it an address? Yes, and/or no? me@example",
            "Is it an address? Yes, and/or no? me@example",
        ),
        ("https://a/b? https://a/b", "https://a/b? https://a/b"),
    ],
)
def test_what_goes_and_what_stays(line: str, redacted: str) -> None:
    assert redaction.redact_addresses(line) == redacted


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", ["/" * 200_000, "://" * 100_000, "\\" * 300_000])
def test_a_hostile_line_takes_no_longer_than_its_length(line: str) -> None:
    """An expression that looks for the end of an address from each slash on takes minutes."""
    assert redaction.redact_addresses(f"? {line}") == f"? {line}"
