"""The janitor's steps stand alone."""

from parlance.api.recorder.janitor import Janitor
from parlance.runtime.errors import Retryable


async def test_a_step_that_fails_does_not_stop_the_others() -> None:
    done: list[str] = []

    async def fail() -> int:
        raise Retryable("away")

    async def succeed() -> int:
        done.append("second")
        return 1

    await Janitor({"first": fail, "second": succeed}).run_pass()

    assert done == ["second"]
