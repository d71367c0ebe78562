"""When a row is tried again."""

import pytest
from parlance.api.outbox import backoff


@pytest.mark.parametrize("attempts", [1, 2, 7, 1000])
def test_backoff_is_bounded(attempts: int) -> None:
    longest = min(
        backoff.MAX_BACKOFF_SECONDS, backoff.FIRST_BACKOFF_SECONDS * 2 ** min(attempts, 16)
    )

    assert longest / 2 <= backoff.plan_backoff(attempts).total_seconds() <= longest
