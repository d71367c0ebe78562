"""Faults of the adapters, translated once where they happen.

    RuntimeFault
    ├── Retryable(delay_seconds)      try again later; the world may have changed
    │   ├── BusUnavailable
    │   ├── StoreUnavailable
    │   │   └── StoreRefused        our rights do not reach the object
    │   └── KubeUnavailable
    └── Permanent                     trying again gives the same answer
        ├── ObjectNotFound(key)
        ├── InvalidKey(key)
        ├── KubeRejected(status, reason)
        └── BusReset                  a stream was rebuilt; sequences start anew

Whether to retry is a matter of type; each edge maps the type to its own terms (JetStream nak or
term, HTTP status, condition reason). Callers never read the text.
"""


class RuntimeFault(Exception):
    """Anything an adapter could not do."""


class Retryable(RuntimeFault):
    """May work later."""

    def __init__(self, message: str, *, delay_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.delay_seconds = delay_seconds


class Permanent(RuntimeFault):
    """Will not work, however often it is tried."""


class BusUnavailable(Retryable):
    """NATS did not confirm in time. What was sent may or may not have arrived."""

    def __init__(self, what: str, *, delay_seconds: float = 1.0) -> None:
        super().__init__(f"the bus did not answer: {what}", delay_seconds=delay_seconds)
        self.what = what


class StoreUnavailable(Retryable):
    """The object store did not answer or refused for now."""

    def __init__(self, what: str, *, delay_seconds: float = 1.0) -> None:
        super().__init__(f"the object store did not answer: {what}", delay_seconds=delay_seconds)
        self.what = what


class StoreRefused(StoreUnavailable):
    """The object store refused our credentials, or their use for this object. It ends when an
    administrator mends it, so it is tried again, but seldom. S3 answers the same for an object that
    does not exist when the credentials may not list."""

    def __init__(self, what: str, *, delay_seconds: float = 60.0) -> None:
        super().__init__(what, delay_seconds=delay_seconds)

    def __str__(self) -> str:
        return f"the object store refuses access: {self.what}"


class KubeUnavailable(Retryable):
    """The Kubernetes API did not answer, or asked to come back later."""

    def __init__(self, what: str, *, delay_seconds: float = 1.0) -> None:
        super().__init__(f"the Kubernetes API did not answer: {what}", delay_seconds=delay_seconds)
        self.what = what


class ObjectNotFound(Permanent):
    """No object has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no such object: {key}")
        self.key = key


class InvalidKey(Permanent):
    """The text cannot be an object key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"not an object key: {key[:120]!r}")
        self.key = key


class KubeRejected(Permanent):
    """The Kubernetes API refused the object itself."""

    def __init__(self, what: str, *, status: int, reason: str) -> None:
        super().__init__(f"the Kubernetes API refused {what}: {status} {reason}")
        self.what = what
        self.status = status
        self.reason = reason


class BusReset(Permanent):
    """The stream was deleted or rebuilt while it was read: its sequences start anew."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"stream {stream} was rebuilt")
        self.stream = stream
