"""How speech recognition fails.

runtime.Retryable
└── AsrUnavailable        the model server is away, too slow, or cannot run its model
    ├── AsrBusy           its queue is full: it is alive
    └── AsrFaulted        the model answered with an error of its own
runtime.Permanent
└── AsrRejected           this window or these options will never give a result
"""

from parlance.runtime.errors import Permanent, Retryable


class AsrUnavailable(Retryable):
    """No result for now. Says nothing about the window."""

    def __init__(self, detail: str, *, delay_seconds: float = 1.0) -> None:
        super().__init__(
            f"the speech model did not answer: {detail[:300]}", delay_seconds=delay_seconds
        )
        self.detail = detail


class AsrBusy(AsrUnavailable):
    """The server has as many windows waiting as it takes, and answered so at once."""


class AsrFaulted(AsrUnavailable):
    """The model failed while it ran: a dead process behind a living server, or no memory left. A
    window that is to blame itself is rejected."""


class AsrRejected(Permanent):
    """The model refuses the window or the options, or fails on this window alone."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the speech model refused the request: {detail[:300]}")
        self.detail = detail
