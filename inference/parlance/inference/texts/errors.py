"""Errors of tickets, beside those of the adapters.

runtime.Permanent
└── DocumentUnusable(problem)    the object is not the document that the message promises
"""

from parlance.contracts.problems import Problem
from parlance.runtime.errors import Permanent


class DocumentUnusable(Permanent):
    """What the message names cannot be analysed; the text tells people why."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
