"""Guards of what is committed: nothing large, nothing that names this or any other machine."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_FILE_BYTES = 600_000
MAX_MODULE_LINES = 600
REGISTRY_HOST = re.compile(
    "python" + r"hosted\.org|pypi" + r"\.org|registry\.npm" + r"js|proxy\.golang" + r"\.org"
)


def tracked_files() -> list[pathlib.Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\n") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_is_large() -> None:
    large = [path.name for path in tracked_files() if path.stat().st_size > MAX_FILE_BYTES]

    assert large == []


def test_no_recording_or_model_is_committed() -> None:
    suffixes = {".wav", ".mp3", ".m4a", ".mp4", ".webm", ".onnx", ".bin", ".pt"}

    assert [path.name for path in tracked_files() if path.suffix in suffixes] == []


def test_no_file_names_a_package_registry() -> None:
    named = [
        path.name
        for path in tracked_files()
        if REGISTRY_HOST.search(path.read_text(errors="ignore"))
    ]

    assert named == []


def test_a_module_can_be_read_in_one_go() -> None:
    def is_written_by_hand(path: pathlib.Path) -> bool:
        return path.suffix == ".py" and "versions" not in path.parts

    long = {
        str(path.relative_to(ROOT)): lines
        for path in filter(is_written_by_hand, tracked_files())
        if (lines := len(path.read_text().splitlines())) > MAX_MODULE_LINES
    }

    assert long == {}


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda p: p.name
)
def test_a_lock_pins_every_package_by_hash(lock: pathlib.Path) -> None:
    text = lock.read_text()
    pins = re.findall(r"^\S+==\S+", text, flags=re.MULTILINE)

    assert pins
    assert text.count("--hash=sha256:") >= len(pins)
    assert not re.search("https?://", text)
