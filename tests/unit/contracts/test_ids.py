"""Identifiers: what is made can be parsed, what is wrong is refused."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.contracts import ids


def test_a_new_call_id_is_a_version_7_uuid_that_sorts_by_time() -> None:
    first = ids.new_call_id()
    time.sleep(0.002)
    second = ids.new_call_id()

    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert first < second


def test_a_job_named_by_the_api_stands_for_that_call() -> None:
    call_id = ids.new_call_id()

    assert (
        ids.parse_calljob_identity(ids.format_calljob_name(call_id), str(uuid.uuid4())) == call_id
    )


@pytest.mark.parametrize("name", ["my-call", "call-", "call-1", "call-not-a-uuid"])
def test_a_job_named_by_a_person_stands_for_its_own_uid(name: str) -> None:
    uid = str(uuid.uuid4())

    assert ids.parse_calljob_identity(name, uid) == uid


@pytest.mark.parametrize("text", ["acme", "a", "a-1", "0" * 63])
def test_a_company_is_a_dns_label(text: str) -> None:
    assert ids.parse_company(text) == text


@given(st.text(max_size=80))
def test_whatever_passes_as_a_company_is_one_token_of_a_subject(text: str) -> None:
    try:
        company = ids.parse_company(text)
    except ids.InvalidId:
        return

    assert company.isascii()
    assert not set(company) & set(".*> /")
