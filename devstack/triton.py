"""A running Triton Inference Server with our model repository, from the `nvidia-pytriton` wheel.

The server has a Python environment of its own, made from requirements/triton.txt, because its
Python backend needs numpy < 2 and the worker needs numpy 2. The wheel's layout is not the one that
the server expects; `_lay_out_backend` puts that right.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import sys
import sysconfig
import uuid
from collections.abc import AsyncIterator, Mapping

from parlance.inference.asr import client
from parlance.inference.asr.errors import AsrRejected, AsrUnavailable
from parlance.inference.settings import AsrSettings

from devstack import cache, guard, ports, process, programs, progress

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "requirements" / "triton.txt"
MODEL_REPOSITORY = ROOT / "inference" / "model_repository"
VENV = ROOT / ".local" / "triton-venv"

START_TIMEOUT_SECONDS = 120.0
CANARY_TIMEOUT_SECONDS = 10.0
SHARED_MEMORY = pathlib.Path("/dev/shm")  # noqa: S108 - where the kernel puts it
SHARED_MEMORY_BYTES = 16 * 1024**2
# One thread per library: CTranslate2's own workers are what fills the cores. Large pages make
# Whisper's large blocks about 5 % faster.
TUNING = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# Whisper, after a stub.
SPEECH = {"PARLANCE_ASR_ENGINE": "whisper"}


def build_stub_environment(batch_seconds: float) -> dict[str, str]:
    """For tests whose point is not speech: a text that names each window, so many seconds late."""
    return {"PARLANCE_ASR_ENGINE": "stub", "PARLANCE_ASR_STUB_SECONDS": str(batch_seconds)}


@dataclasses.dataclass(frozen=True)
class TritonServer:
    """What a client of Triton needs, and the process for fault tests."""

    grpc_url: str
    """host:port, as `tritonclient` takes it."""
    http_url: str
    metrics_url: str
    process: process.ServerProcess
    """`kill` and `restart` keep the ports."""

    def list_model_pids(self) -> list[int]:
        """The processes that hold the models; the server itself survives their death."""
        family = guard.list_family(self.process.pid)
        return sorted(pid for pid in family if "python_backend_stub" in _read_command_line(pid))


async def ensure_triton_venv(folder: pathlib.Path = VENV) -> pathlib.Path:
    """Make the server's environment, or take the one made before from the same lock file."""
    key = cache.format_key([LOCK_FILE.read_bytes(), sys.version.encode()])
    marker = folder / "made-from"
    async with cache.open_lock(folder.with_name(f"{folder.name}.lock")):
        if not marker.exists() or marker.read_text() != key:
            async with progress.open_step("installing Triton (about 560 MB) into .local"):
                shutil.rmtree(folder, ignore_errors=True)
                await _install(folder)
                _lay_out_backend(folder)
                marker.write_text(key)
    return folder


@contextlib.asynccontextmanager
async def open_triton(
    folder: pathlib.Path,
    *,
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
) -> AsyncIterator[TritonServer]:
    """A server whose log is in `folder`; `environment` sets the model (PARLANCE_ASR_...).

    It is ready when a real inference gives a real result: Triton's own readiness says yes to a
    model that answers nothing.
    """
    venv = await ensure_triton_venv()
    grpc_port, http_port, metrics_port = (ports.find_free_port() for _ in range(3))
    grpc_url = f"{ports.LOOPBACK}:{grpc_port}"
    # Two servers on one machine must not share regions.
    shared_memory_prefix = f"parlance_{uuid.uuid4().hex[:12]}_"
    command = process.Command(
        name="tritonserver",
        argv=[
            str(_find_server(venv) / "bin" / "tritonserver"),
            f"--model-repository={MODEL_REPOSITORY}",
            f"--backend-directory={venv / 'backends'}",
            *_build_port_arguments(grpc_port, http_port, metrics_port),
            f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
            f"--backend-config=python,shm-default-byte-size={SHARED_MEMORY_BYTES}",
            # The configuration is complete; completing it would start the model twice.
            "--disable-auto-complete-config",
            "--exit-timeout-secs=5",
            *arguments,
        ],
        log_path=folder / "tritonserver.log",
        environment={**_build_environment(venv), **(environment or {})},
        start_timeout_seconds=START_TIMEOUT_SECONDS,
    )

    async def is_ready() -> bool:
        return await is_transcribing(grpc_url)

    try:
        async with process.open_server(command, is_ready) as server:
            yield TritonServer(
                grpc_url=grpc_url,
                http_url=f"http://{ports.LOOPBACK}:{http_port}",
                metrics_url=f"http://{ports.LOOPBACK}:{metrics_port}/metrics",
                process=server,
            )
    finally:
        for region in SHARED_MEMORY.glob(f"{shared_memory_prefix}*"):
            region.unlink(missing_ok=True)


async def is_transcribing(grpc_url: str) -> bool:
    """Whether the model answers a real request with a result that fits the contract."""
    settings = AsrSettings(triton_url=grpc_url)
    async with client.open_triton(settings) as transcriber:
        try:
            await transcriber.check(CANARY_TIMEOUT_SECONDS)
        except (AsrUnavailable, AsrRejected):
            return False
    return True


def _build_port_arguments(grpc_port: int, http_port: int, metrics_port: int) -> list[str]:
    return [
        f"--grpc-address={ports.LOOPBACK}",
        f"--grpc-port={grpc_port}",
        f"--http-address={ports.LOOPBACK}",
        f"--http-port={http_port}",
        f"--metrics-address={ports.LOOPBACK}",
        f"--metrics-port={metrics_port}",
        "--metrics-config=summary_latencies=true",
    ]


def _build_environment(venv: pathlib.Path) -> dict[str, str]:
    """What the server and the Python inside it need to find their libraries."""
    libraries = [str(_find_site_packages(venv) / "nvidia_pytriton.libs")]
    if folder := sysconfig.get_config_var("LIBDIR"):
        libraries.append(folder)  # libpython, which the model's process is linked with
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        # The model's process takes the environment of the first `python3` on PATH. It is isolated
        # (as with `python -I`), so PYTHONPATH and PYTHONHOME would do nothing.
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)]),
        **TUNING,
    }


async def _install(folder: pathlib.Path) -> None:
    uv = str(programs.find_wheel_program("uv"))
    log_path = folder.with_name(f"{folder.name}.log")
    await process.run([uv, "venv", "--python", sys.executable, str(folder)], log_path)
    python = str(folder / "bin" / "python")
    arguments = ["--python", python, "--require-hashes", "--requirement", str(LOCK_FILE)]
    await process.run([uv, "pip", "install", *arguments], log_path)


def _lay_out_backend(venv: pathlib.Path) -> None:
    """Put the Python backend and the model process for this Python into one folder."""
    source = _find_server(venv)
    backend = venv / "backends" / "python"
    backend.mkdir(parents=True)
    stub = source / "python_backend_stubs" / _format_python() / "triton_python_backend_stub"
    for path in (stub, *(source / "backends" / "python").iterdir()):
        (backend / path.name).symlink_to(path)


def _find_site_packages(venv: pathlib.Path) -> pathlib.Path:
    return venv / "lib" / f"python{_format_python()}" / "site-packages"


def _find_server(venv: pathlib.Path) -> pathlib.Path:
    return _find_site_packages(venv) / "pytriton" / "tritonserver"


def _format_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _read_command_line(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    return ""
