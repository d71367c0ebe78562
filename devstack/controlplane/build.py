"""Building kube-apiserver, etcd, kubectl and helm from the Go modules next to this file.

The programs go into the tool cache, in one folder per module that is keyed by its go.mod and
go.sum, so that a second clone finds them there and a changed pin builds anew.
`KUBEBUILDER_ASSETS`, the folder that Kubernetes' own test tools use, wins if it is set. Called by
`server.open_control_plane` and by `python -m devstack.controlplane`.
"""

import asyncio
import enum
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from devstack import cache, errors, process, progress
from devstack.controlplane import golang

MODULES_FOLDER = pathlib.Path(__file__).parent
KUBERNETES_VERSION = "v1.34.4"
LOCK_NAME = "build.lock"
CACHES_NAME = "build"
# A download that broke off is what usually goes wrong; a second try goes on where the first ended.
TRIES = 2
# Below everything else on the machine: whoever builds for ten minutes wants to go on working.
NICENESS = 10


class Program(enum.StrEnum):
    """What can be built, in build order: what a start needs comes first."""

    KUBE_APISERVER = "kube-apiserver"
    ETCD = "etcd"
    KUBECTL = "kubectl"
    HELM = "helm"


# What a running control plane needs. Helm is for the chart, and can wait.
NEEDED = (Program.KUBE_APISERVER, Program.ETCD, Program.KUBECTL)


class Recipe(NamedTuple):
    """Where a program comes from."""

    module: str
    package: str
    linker_flags: str = "-s -w"


def _format_kubernetes_linker_flags() -> str:
    # Without these kubectl and the server call themselves v0.0.0-master, and clients that look at
    # the version stumble.
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES_VERSION,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    stamps = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items()]
    return " ".join(
        ["-s -w", *stamps, f"-X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}"]
    )


RECIPES: Mapping[Program, Recipe] = {
    Program.KUBE_APISERVER: Recipe(
        "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", _format_kubernetes_linker_flags()
    ),
    Program.ETCD: Recipe("etcd", "go.etcd.io/etcd/server/v3"),
    Program.KUBECTL: Recipe(
        "kubernetes", "k8s.io/kubernetes/cmd/kubectl", _format_kubernetes_linker_flags()
    ),
    Program.HELM: Recipe("helm", "helm.sh/helm/v3/cmd/helm"),
}


def find_program(program: Program) -> pathlib.Path:
    """Where a program is or, if it has not been built yet, will be."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (path := pathlib.Path(assets, program)).exists():
        return path
    recipe = RECIPES[program]
    module = MODULES_FOLDER / recipe.module
    pins = [(module / name).read_bytes() for name in ("go.mod", "go.sum")]
    key = cache.format_key([*pins, recipe.linker_flags.encode()])
    return cache.find_cache_folder("controlplane") / f"{recipe.module}-{key}" / program


async def build_programs(programs: Iterable[Program]) -> dict[Program, pathlib.Path]:
    """Make sure that the programs exist; returns where each is."""
    paths = {program: find_program(program) for program in programs}
    if all(path.exists() for path in paths.values()):
        return paths
    folder = cache.find_cache_folder("controlplane")
    async with cache.open_lock(folder / LOCK_NAME):
        # Looked at again under the lock: another clone may just have built them.
        missing = {program: path for program, path in paths.items() if not path.exists()}
        if missing:
            await _build_missing(missing, folder / CACHES_NAME)
    return paths


async def remove_caches() -> None:
    """Delete Go's own caches, up to 5 GB, which only a build that has failed still needs.

    On some disks this takes minutes, so it is apart from the build; when cancelled, the next call
    goes on.
    """
    folder = cache.find_cache_folder("controlplane")
    caches, doomed = folder / CACHES_NAME, folder / f"{CACHES_NAME}.old"
    if cache.is_locked(folder / LOCK_NAME):
        return  # another clone builds
    async with cache.open_lock(folder / LOCK_NAME):
        if caches.exists() and not doomed.exists():
            caches.rename(doomed)
    if not doomed.exists():
        return
    remover = await asyncio.create_subprocess_exec("nice", "-n", "19", "rm", "-rf", str(doomed))
    try:
        await remover.wait()
    finally:
        if remover.returncode is None:
            remover.kill()
            await remover.wait()


async def _build_missing(missing: Mapping[Program, pathlib.Path], folder: pathlib.Path) -> None:
    go = await golang.find_go()
    for program in Program:
        if program in missing:
            await _build_program(go, program, missing[program], folder)


async def _build_program(
    go: pathlib.Path, program: Program, path: pathlib.Path, folder: pathlib.Path
) -> None:
    recipe = RECIPES[program]
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / f"{program}.log"
    async with progress.open_step(f"building {program}") as step:
        with cache.open_new_file(path) as temporary:
            argv = _build_arguments(go, recipe, temporary)
            tries_left = TRIES
            while status := await _run_counted(argv, recipe.module, folder, log_path, step):
                tries_left -= 1
                if not tries_left:
                    raise errors.CommandFailed(argv, status, log_path)


def _build_arguments(go: pathlib.Path, recipe: Recipe, target: pathlib.Path) -> list[str]:
    switches = ["-v", "-trimpath", "-mod=readonly", "-modcacherw", "-buildvcs=false"]
    flags = ["-ldflags", recipe.linker_flags, "-o", str(target)]
    return ["nice", "-n", str(NICENESS), str(go), "build", *switches, *flags, recipe.package]


def _build_environment(folder: pathlib.Path) -> dict[str, str]:
    """Caches of our own; proxies and CA files come from the caller's environment."""
    return {
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "go-build"),
        "GOMODCACHE": str(folder / "go-modules"),
        "GOPATH": str(folder / "go-path"),
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


async def _run_counted(
    argv: list[str],
    module: str,
    folder: pathlib.Path,
    log_path: pathlib.Path,
    step: progress.Step,
) -> int:
    """Run `go build -v`, which names every module it fetches and every package it compiles."""
    fetched = compiled = 0
    building = process.open_command(
        argv,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        folder=MODULES_FOLDER / module,
        environment=_build_environment(folder),
    )
    async with building as started:
        assert started.stdout is not None
        with log_path.open("wb") as log:
            async for line in started.stdout:
                log.write(line)
                log.flush()
                fetched += line.startswith(b"go: downloading")
                compiled += not line.startswith((b"go: ", b"#", b"\t"))
                step.detail = f"{fetched} modules fetched, {compiled} packages compiled"
        return await started.wait()
