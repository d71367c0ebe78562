"""The parts of the suite: none of the tests is left out, none is run twice."""

import os
import pathlib
import subprocess

import pytest

from tests import parts

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_every_test_file_belongs_to_one_part() -> None:
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py"))]

    assert sorted(file for part in parts.PARTS for file in parts.list_files(part)) == files


def test_an_unknown_part_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parts.main(["operators"])

    assert "no such part: operators (there are unit, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "command"),
    [
        ((), "-m tests.parts"),
        (("PART=operator",), "-m tests.parts operator"),
        (("TESTS=tests/unit -q",), "-m pytest tests/unit -q"),
    ],
)
def test_make_passes_on_what_is_asked_for(variables: tuple[str, ...], command: str) -> None:
    shown = _show_commands("test", *variables)

    assert shown[-1].rstrip().endswith(command)
    assert any("-m devstack setup" in line for line in shown)


def test_nothing_is_built_for_pure_tests() -> None:
    assert not any("devstack" in line for line in _show_commands("test", "PART=unit"))


def _show_commands(*arguments: str) -> list[str]:
    shown = subprocess.run(
        ["make", "--dry-run", "--old-file=.local/venv/ready", *arguments],
        cwd=ROOT,
        # Without what a `make test PART=...` around this test passes on.
        env={
            name: value
            for name, value in os.environ.items()
            if "MAKE" not in name and name not in ("PART", "TESTS")
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.splitlines()
