"""Finding the servers that come as wheels in our own environment."""

import pathlib
import shutil
import sys

from devstack import errors


def find_wheel_program(name: str) -> pathlib.Path:
    """A program that a wheel has put next to our Python, else the one on PATH."""
    beside = pathlib.Path(sys.executable).parent / name
    if beside.exists():
        return beside
    on_path = shutil.which(name)
    if on_path is None:
        raise errors.MissingTool(name, "install the dependency group `servers` of pyproject.toml")
    return pathlib.Path(on_path)
