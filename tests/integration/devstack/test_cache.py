"""The tool cache: where it is, and that a killed maker of an entry leaves nothing behind."""

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest

from devstack import cache, errors

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_an_empty_variable_is_as_good_as_none(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLANCE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert cache.find_cache_folder("go") == tmp_path / "home" / ".cache" / "parlance" / "go"


def test_the_cache_of_the_desktop_is_used(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARLANCE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache.find_cache_folder() == tmp_path / "parlance"


def test_a_relative_folder_stays_the_same_in_other_folders(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLANCE_CACHE", "kept")

    assert cache.find_cache_folder("go") == tmp_path / "kept" / "go"


def test_a_tilde_is_the_home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PARLANCE_CACHE", "~/kept")

    assert cache.find_cache_folder() == tmp_path / "kept"


def test_a_folder_that_cannot_be_made_is_a_plain_fault(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Below a file: root could write into any folder.
    (tmp_path / "file").touch()
    monkeypatch.setenv("PARLANCE_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(errors.MissingTool, match="a writable cache folder is missing: set PARL"):
        cache.find_cache_folder()


def test_a_folder_that_is_read_only_is_a_plain_fault(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o500)
    script = "from devstack import cache; cache.find_cache_folder()"
    # Root writes everywhere, unless it lacks the capability to.
    prefix = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []

    ended = subprocess.run(
        [*prefix, sys.executable, "-c", script],
        env={**os.environ, "PARLANCE_CACHE": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"a writable cache folder is missing: set PARLANCE_CACHE ({tmp_path}" in ended.stderr


def _leave(path: pathlib.Path, *, is_folder: bool) -> pathlib.Path:
    """Something under a temporary name, as after SIGKILL."""
    if is_folder:
        (path / "half").mkdir(parents=True)
    else:
        path.touch()
    return path


def test_a_new_folder_takes_the_place_of_what_a_killed_maker_left(tmp_path: pathlib.Path) -> None:
    left = _leave(tmp_path / ".go-1.2.abcd_123", is_folder=True)
    others = _leave(tmp_path / ".go-1.abcd_123", is_folder=True)

    with cache.open_new_folder(tmp_path / "go-1.2"):
        assert not left.exists()
        assert others.exists()


def test_a_new_file_takes_the_place_of_what_a_killed_maker_left(tmp_path: pathlib.Path) -> None:
    left = _leave(tmp_path / ".4711.etcd", is_folder=False)
    others = _leave(tmp_path / ".4711.not-etcd", is_folder=False)

    with cache.open_new_file(tmp_path / "etcd") as unfinished:
        unfinished.touch()
        assert not left.exists()
        assert others.exists()


def test_a_scratch_folder_takes_the_place_of_what_a_killed_maker_left(
    tmp_path: pathlib.Path,
) -> None:
    left = _leave(tmp_path / ".scratch.voice-1.abcd_123", is_folder=True)
    others = _leave(tmp_path / ".scratch.voice-2.abcd_123", is_folder=True)

    with cache.open_scratch_folder(tmp_path / "voice-1") as scratch:
        assert scratch.parent == tmp_path
        assert not left.exists()
        assert others.exists()


def test_folders_of_one_entry_do_not_take_each_other_for_leftovers(tmp_path: pathlib.Path) -> None:
    entry = tmp_path / "voice-1"

    with cache.open_scratch_folder(entry) as scratch, cache.open_new_folder(entry) as chosen:
        assert scratch.exists()
        assert chosen.exists()

    assert list(tmp_path.iterdir()) == [entry]


def test_what_fails_leaves_nothing(tmp_path: pathlib.Path) -> None:
    with contextlib.suppress(OSError), cache.open_new_folder(tmp_path / "entry") as unfinished:
        (unfinished / "half").touch()
        raise OSError

    assert list(tmp_path.iterdir()) == []
