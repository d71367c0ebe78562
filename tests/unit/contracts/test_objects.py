"""Keys in the object store: whose an object is, and that no company's are taken for another's."""

import pytest
from parlance.contracts import ids, objects
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CallId, CompanySlug, new_call_id
from parlance.contracts.objects import Owner

ACME = CompanySlug("acme")
STAGING = CompanySlug("staging")
CALL_ID = CallId("01a22b85-53c7-7f76-a821-e7ca32a936ce")
RANDOM_ID = "75e9d6dc-6900-4ff5-86ed-18fb18184e6b"


def test_everything_of_a_call_lies_below_its_prefix() -> None:
    call_id = new_call_id()
    prefix = objects.format_call_prefix(ACME, call_id)

    for key in (
        objects.format_audio_key(ACME, call_id, "mp3"),
        objects.format_transcript_key(ACME, call_id, "ab" * 32),
        objects.format_insights_key(ACME, call_id, "ab" * 32),
    ):
        assert key.startswith(prefix)
        assert objects.parse_owner(key) == Owner(ACME, Kind.CALL, call_id)


def test_the_prefix_of_an_owner_is_where_its_objects_lie() -> None:
    call_id = new_call_id()

    assert Owner(ACME, Kind.CALL, call_id).prefix == objects.format_call_prefix(ACME, call_id)


@pytest.mark.parametrize(
    "key",
    [
        objects.format_staging_key(CALL_ID),
        objects.format_trackers_key(ACME),
        "acme/incoming/by-hand/a.wav",
        "acme/calls/no-folder.wav",
    ],
)
def test_what_belongs_to_no_work_has_no_owner(key: str) -> None:
    assert objects.parse_owner(key) is None


def test_no_company_can_be_called_like_the_staging_folder() -> None:
    with pytest.raises(ids.InvalidId):
        ids.parse_company(objects.STAGING_PREFIX.rstrip("/"))


@pytest.mark.parametrize("name", [CALL_ID, f"part-{RANDOM_ID.replace('-', '')}"])
def test_what_earlier_versions_staged_is_recognized(name: str) -> None:
    assert objects.is_old_staging_key(f"staging/{name}")


@pytest.mark.parametrize(
    "key",
    [
        objects.format_audio_key(STAGING, CALL_ID, "wav"),
        objects.format_trackers_key(STAGING),
        f"staging/{CALL_ID}.wav",
        f"staging/{RANDOM_ID}",
        "staging/part-1",
    ],
)
def test_objects_of_a_company_called_staging_are_not_taken_for_staged_uploads(key: str) -> None:
    assert not objects.is_old_staging_key(key)


def test_the_attempt_of_a_tickets_object_stands_in_its_key() -> None:
    ticket_id = ids.parse_ticket_id(CALL_ID)
    for format_key in (objects.format_ticket_document_key, objects.format_ticket_insights_key):
        assert objects.parse_ticket_attempt(format_key(ACME, ticket_id, 12, "ab" * 32)) == 12
    for key in (
        objects.format_insights_key(ACME, CALL_ID, "ab" * 32),
        objects.format_ticket_prefix(ACME, ticket_id) + "document-x-00.json",
        objects.format_ticket_prefix(ACME, ticket_id) + "document-1-00.json.part",
    ):
        assert objects.parse_ticket_attempt(key) is None
