"""When something that could not be done outside is tried again. Called by `relay` and
`deletions`."""

import random
from datetime import timedelta

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0


def plan_backoff(attempts: int) -> timedelta:
    """Doubles up to a minute; the random half keeps rows from coming back all at once."""
    longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(attempts, 16))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
