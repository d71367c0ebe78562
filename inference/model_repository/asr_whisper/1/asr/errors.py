"""What can be wrong with a request or with the model folder.

AsrError
├── InvalidWindow   the caller's fault; model.py answers INVALID_ARG
└── UnusableModel   the deployer's fault; the model does not load
"""


class AsrError(Exception):
    """Root of the errors this package raises."""


class InvalidWindow(AsrError):
    """The audio or the options of one request cannot be used; the text says what and why."""


class UnusableModel(AsrError):
    """The model folder or the runtime cannot transcribe."""
