"""The user's own cluster: KUBECONFIG as kubectl reads it."""

import os
import pathlib

import pytest

from devstack import clusters, errors


@pytest.fixture(autouse=True)
def kubectl(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PATH: a kubectl that prints the KUBECONFIG that it gets; and `tmp_path` is home."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf %s "$KUBECONFIG"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


async def _show_kubeconfig(folder: pathlib.Path) -> str:
    """What kubectl gets; a stack hands the same to its processes."""
    async with clusters.open_cluster(folder / "unused", use_current=True) as cluster:
        shown = await cluster.run_kubectl("get", "calljobs")
    assert shown == cluster.kubeconfig
    return shown


async def test_a_list_is_passed_on_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").touch()
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a:{tmp_path}/b")

    assert await _show_kubeconfig(tmp_path) == f"{tmp_path}/a:{tmp_path}/b"


async def test_paths_are_absolute_for_processes_in_other_folders(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").touch()
    monkeypatch.setenv("KUBECONFIG", "~/a::b")

    assert await _show_kubeconfig(tmp_path) == f"{tmp_path}/a:{tmp_path}/b"


async def test_without_the_variable_the_default_file_counts(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = tmp_path / ".kube" / "config"
    default.parent.mkdir()
    default.touch()
    monkeypatch.delenv("KUBECONFIG", raising=False)

    assert await _show_kubeconfig(tmp_path) == str(default)


async def test_a_list_of_files_that_do_not_exist_is_a_plain_fault(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "a:b")

    with pytest.raises(errors.MissingTool, match=f"{tmp_path}/a:{tmp_path}/b does not exist"):
        await _show_kubeconfig(tmp_path)
