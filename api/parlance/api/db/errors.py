"""What the database can answer, translated once in `session` by SQLSTATE, never by text.

DatabaseUnavailable (Retryable)   away, restarting, full, deadlocked, too slow
RowConflict (Permanent)           a unique constraint, named by `constraint`
RowMissing (Permanent)            a foreign key points to nothing
QueryRejected (Permanent)         anything else: a defect of ours
"""

from parlance.runtime.errors import Permanent, Retryable


class DatabaseUnavailable(Retryable):
    """Postgres did not do it now. A commit that was under way may have happened."""

    def __init__(self, sqlstate: str | None, *, delay_seconds: float = 1.0) -> None:
        super().__init__(
            f"the database is not available ({sqlstate or 'no connection'})",
            delay_seconds=delay_seconds,
        )
        self.sqlstate = sqlstate


class RowConflict(Permanent):
    """A row with the same unique value is there already."""

    def __init__(self, constraint: str) -> None:
        super().__init__(f"a row exists already: {constraint}")
        self.constraint = constraint


class RowMissing(Permanent):
    """A row that this one refers to is not there (any more)."""

    def __init__(self, constraint: str) -> None:
        super().__init__(f"a referred row is missing: {constraint}")
        self.constraint = constraint


class QueryRejected(Permanent):
    """Postgres refused the statement itself."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(f"the database refused a statement ({sqlstate or 'driver'})")
        self.sqlstate = sqlstate
