"""Errors of calls, beside those of the adapters.

runtime.Permanent
├── InputRejected(problem)    the job names something that cannot be used
└── OutOfTime                 the deadline of the job was over before its audio was there
runtime.Retryable
├── FetchFailed(problem)      the address of the audio gave no answer
└── ModelChanged              another model answered in the middle of a call
"""

from parlance.contracts.problems import Problem
from parlance.runtime.errors import Permanent, Retryable


class InputRejected(Permanent):
    """What the job points at cannot be used; the text tells people why."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


class OutOfTime(Permanent):
    """The job's time was over before its audio was fetched."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The audio was not fetched within the {seconds:.0f} s that were left.")


class FetchFailed(Retryable):
    """The address gave no answer; it may later."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


class ModelChanged(Retryable):
    """The model server came back with another model: one transcript is made by one model."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"the speech model changed from {expected[:12]} to {found[:12]}")
        self.expected = expected
        self.found = found
