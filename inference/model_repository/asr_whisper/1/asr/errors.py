"""What can be wrong with a request, with a decode or with the model folder.

AsrError
├── InvalidWindow   the caller's fault: no window, or options that the model cannot follow
├── WindowFailed    the model fails on this window, and works on others: another try is no use
├── ModelFailed     the model works on nothing, or has no memory left; says nothing of the window
└── UnusableModel   the deployer's fault; the model does not load

model.py answers INVALID_ARG for the first two and INTERNAL for the third.
"""


class AsrError(Exception):
    """Root of the errors this package raises."""


class InvalidWindow(AsrError):
    """The audio or the options of one request cannot be used; the text says what and why."""


class WindowFailed(AsrError):
    """Decoding this window raised, alone too. The cause is in the server's log."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the model fails on this window ({cause})")
        self.cause = cause


class ModelFailed(AsrError):
    """Nothing can be decoded for now. The cause is in the server's log."""

    def __init__(self) -> None:
        super().__init__("transcription failed")


class UnusableModel(AsrError):
    """The model folder or the runtime cannot transcribe."""
