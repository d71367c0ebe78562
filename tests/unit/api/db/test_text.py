"""NUL goes out of JSON, and nothing else does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.api.db import text

_TEXTS = st.text(alphabet=st.sampled_from('\0\\u0a"é'))


@given(_TEXTS)
def test_a_text_loses_its_nul_characters_only(content: str) -> None:
    data = json.dumps({"text": content}).encode()

    assert json.loads(text.drop_nul(data)) == {"text": content.replace("\0", "")}


@pytest.mark.parametrize("content", ["\\u0000", "C:\\u0000", "\\\\u0000"])
def test_what_only_looks_like_one_stays(content: str) -> None:
    data = json.dumps(content).encode()

    assert text.drop_nul(data) == data
