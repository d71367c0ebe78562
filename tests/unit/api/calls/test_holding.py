"""What becomes of a stored file when the rest of its request fails."""

from typing import Any, cast

import pytest
from parlance.api.db.errors import DatabaseUnavailable, QueryRejected, RowConflict
from parlance.api.domain.calls.uploads.intake import Holding, Intake
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem

KEY = "acme/calls/x/audio.wav"


class Kept:
    """The part of an intake that is needed here: what it was asked to delete."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.key = KEY

    async def delete(self, key: str) -> None:
        self.deleted.append(key)


async def fail(error: BaseException, *, is_committing: bool) -> list[str]:
    intake = Kept()
    holding = Holding(cast("Intake", intake))
    holding.audio = cast("Any", intake)  # anything with a key
    with pytest.raises(type(error)):
        async with holding:
            if is_committing:
                holding.note_commit()
            raise error
    return intake.deleted


@pytest.mark.parametrize("error", [DatabaseUnavailable("08006"), KeyboardInterrupt()])
async def test_before_the_commit_a_failure_leaves_no_file(error: BaseException) -> None:
    assert await fail(error, is_committing=False) == [KEY]


@pytest.mark.parametrize("error", [DatabaseUnavailable("08006"), KeyboardInterrupt()])
async def test_a_commit_without_an_answer_keeps_the_file(error: BaseException) -> None:
    """The call may exist; without its audio it could only fail, and the client would be told that
    it has sent the recording already."""
    assert await fail(error, is_committing=True) == []


@pytest.mark.parametrize(
    "error",
    [RowConflict("uq_calls_audio"), QueryRejected("22P02"), Refused(Problem.DUPLICATE_CALL)],
)
async def test_a_commit_that_was_refused_leaves_no_file(error: BaseException) -> None:
    assert await fail(error, is_committing=True) == [KEY]


@pytest.mark.parametrize("is_committed", [True, False])
async def test_a_request_that_ends_well_keeps_its_file_only_if_a_call_has_it(
    is_committed: bool,
) -> None:
    """An answer that is given again needs no second copy of the file."""
    intake = Kept()
    holding = Holding(cast("Intake", intake))
    holding.audio = cast("Any", intake)
    async with holding:
        if is_committed:
            holding.note_commit()

    assert intake.deleted == ([] if is_committed else [KEY])
