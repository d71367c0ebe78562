"""What the parts of `wiring` hand to each other."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parlance.inference.analysis.pipeline import Analyst
from parlance.inference.engine.kinds import WorkKind
from parlance.inference.settings import AsrSettings, WorkerSettings
from parlance.runtime.settings import (
    BusSettings,
    MediaSettings,
    StoreSettings,
    TelemetrySettings,
)
from parlance.runtime.store import Store


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `__main__` reads from the environment."""

    telemetry: TelemetrySettings
    bus: BusSettings
    store: StoreSettings
    media: MediaSettings
    asr: AsrSettings
    worker: WorkerSettings


@dataclass(frozen=True, slots=True)
class Shared:
    """What all kinds of work use."""

    settings: Settings
    store: Store
    analyst: Analyst


Problems = Mapping[str, str | None]
"""By part; None where there is none."""


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work, ready to be done."""

    kind: WorkKind[Any]
    slots: int
    """Runs at once."""
    find_problems: Callable[[], Awaitable[Problems]]
    """Why the worker cannot do it at the moment."""
