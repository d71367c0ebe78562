"""The janitor's steps stand alone."""

import pytest
from parlance.api.recorder.janitor import Janitor
from parlance.runtime.errors import Permanent, Retryable


@pytest.mark.parametrize("fault", [Retryable("away"), Permanent("refused"), ValueError("defect")])
async def test_a_step_that_fails_does_not_stop_the_others(fault: Exception) -> None:
    done: list[str] = []

    async def fail() -> int:
        raise fault

    async def succeed() -> int:
        done.append("second")
        return 1

    await Janitor({"first": fail, "second": succeed}).run_pass()

    assert done == ["second"]
