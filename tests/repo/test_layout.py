"""Guards of the source layout: one namespace over four roots, which a stray file would hide."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("common", "api", "operator", "inference")


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split("\n")


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_no_init_file_hides_the_namespace_or_the_standard_library(root: str) -> None:
    assert not (ROOT / root / "__init__.py").exists()
    assert not (ROOT / root / "parlance" / "__init__.py").exists()


def test_no_test_folder_is_a_package() -> None:
    strays = list((ROOT / "tests").rglob("__init__.py"))

    assert strays == []


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}

    assert [name for name in tracked_files() if pathlib.PurePath(name).name in drawers] == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("parlance.operator.__main__", ("numpy", "av", "obstore", "sqlmodel", "litestar")),
        ("parlance.api.asgi", ("numpy", "onnxruntime", "tritonclient", "kopf")),
        ("parlance.inference.__main__", ("sqlmodel", "litestar", "kopf", "kubernetes")),
    ],
)
def test_a_component_loads_nothing_of_the_others(module: str, absent: tuple[str, ...]) -> None:
    """The images install one extra each; a hidden import would only fail in production."""
    program = f"import {module}, sys; print([n for n in {absent!r} if n in sys.modules])"

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert printed.stdout.strip() == "[]"


def test_importing_a_component_reads_no_environment_and_opens_nothing() -> None:
    """Settings come from `__main__`; an import that needs one would fail with an empty one."""
    program = "import parlance.api.asgi, parlance.operator.__main__, parlance.inference.__main__"

    subprocess.run(
        [sys.executable, "-c", program], env={"PATH": "/usr/bin:/bin"}, cwd="/", check=True
    )
