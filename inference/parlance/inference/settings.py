"""Settings of the inference pod, beside the shared groups of `parlance.runtime.settings`.

Read once in `__main__`. The speech model reads its own (`PARLANCE_ASR_...`) inside Triton.
"""

import os
from typing import Annotated

from parlance.contracts.bus.subjects import Kind
from parlance.runtime.settings import SettingsGroup
from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    """The items of a list with commas."""
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value


class AsrSettings(SettingsGroup):
    """The way to the speech model."""

    triton_url: str = "127.0.0.1:8001"
    """host:port of Triton's gRPC service; in the pod it is the container next door."""
    triton_timeout_seconds: float = Field(default=120.0, gt=0)
    """One window, queue included. A full queue of 64 windows takes 20 to 40 s on two cores."""


class WorkerSettings(SettingsGroup):
    """How much one worker does at a time, and how long it waits for others."""

    worker_name: str = Field(default_factory=lambda: f"{os.uname().nodename}-{os.getpid()}")
    """Name in events and logs; the pod's name in a cluster."""
    worker_lanes: Annotated[tuple[Kind, ...], NoDecode, BeforeValidator(_split)] = (
        Kind.CALL,
        Kind.TICKET,
    )
    """Kinds of work, separated by commas: `call`, `ticket`. A worker of `ticket` alone needs
    neither Triton nor much memory, and its tickets do not share cores with decoders."""
    worker_slots: int = Field(default=10, ge=1, le=256)
    """Calls in work at once. Several fill the model's batches; each costs a decoder process. Of
    four and more, bulk calls leave two free and standard ones one, for calls that are watched."""
    worker_text_slots: int = Field(default=16, ge=1, le=256)
    """Tickets in work at once: while some wait for the bus or the store, others are analysed. They
    have slots of their own beside `worker_slots`."""
    worker_windows_per_call: int = Field(default=16, ge=1, le=64)
    """Windows of one call on their way through the model. Above the model's batch size, so that
    one call alone keeps the next batch waiting."""
    worker_windows: int = Field(default=20, ge=1, le=1024)
    """Windows of all calls on their way: two of the model's batches of 8 and a little more; for
    the GPU's batches of 32 set 80. Each costs about 3 MB of the worker's memory."""
    worker_window_seconds: float = Field(default=14.8, ge=10, le=29)
    """Longest stretch of speech that the model gets at once. Its encoder has two shapes, 15 and
    30 s; the default fills the shorter one (decision 0008: half again as fast on CPUs, and words
    come sooner), 29 fills the longer one, which reads a little better. Changing it makes calls
    that are in work start over."""
    worker_patience_seconds: float = Field(default=300.0, gt=0)
    """How long a call waits for a model server or a store that is away before it is handed back.
    Longer than loading a large model takes."""
    worker_drain_seconds: float = Field(default=20.0, ge=0)
    """After SIGTERM: what running calls get to finish. Below the pod's grace period of 30 s; what
    is not done is handed back and resumed by another worker."""
    max_upload_bytes: int = Field(default=524_288_000, ge=1)
    """Largest file that is fetched for a job with a `uri`; the API reads the same variable."""
    fetch_allowed_hosts: tuple[str, ...] = ()
    """JSON list of host names and networks a `uri` may point to although they are not public; the
    API reads the same variable."""

    @field_validator("worker_lanes")
    @classmethod
    def _check_lanes(cls, lanes: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if not lanes or not set(lanes) <= {Kind.CALL, Kind.TICKET}:
            raise ValueError("a worker has the lanes `call` and `ticket`, and needs one of them")
        return lanes
