"""What must stay the same in two places: the two profiles, and the contract with the worker."""

import dataclasses
import re
from pathlib import Path

import pytest
from asr import guards, tails
from asr.config import Config, parse_config
from asr.errors import UnusableModel
from parlance.contracts import tensors
from parlance.contracts.tensors import AsrOptions, AsrWindow

ROOT = Path(__file__).resolve().parents[4]
MODEL = ROOT / "inference" / "model_repository" / "asr_whisper"
REFERENCE = (ROOT / "docs" / "reference" / "speech-model.md").read_text()
CPU = (MODEL / "config.pbtxt").read_text()
GPU = (MODEL / "configs" / "gpu.pbtxt").read_text()


def test_names_and_types_are_those_of_the_contract() -> None:
    names = re.findall(r'name: "(\w+)"', CPU)
    types = re.findall(r"data_type: (\w+)", CPU)

    assert names == [
        tensors.MODEL_NAME,
        tensors.AUDIO_INPUT,
        tensors.OPTIONS_INPUT,
        tensors.RESULT_OUTPUT,
    ]
    assert types == ["TYPE_INT16", "TYPE_STRING", "TYPE_STRING"]


def test_there_is_a_priority_level_for_every_class() -> None:
    levels = re.search(r"priority_levels: (\d+)", CPU)

    assert levels is not None
    assert int(levels[1]) == len(tensors.PRIORITY_LEVELS)


def test_windows_of_unequal_length_may_share_a_batch() -> None:
    assert "allow_ragged_batch: true" in CPU


def test_a_request_may_shorten_its_timeout() -> None:
    """Triton ignores a request's own timeout where the default is 0."""
    timeout = re.search(r"default_timeout_microseconds: (\d+)", CPU)

    assert "allow_timeout_override: true" in CPU
    assert timeout is not None
    assert int(timeout[1]) > 0


def test_the_gpu_profile_differs_in_sizes_and_device_only() -> None:
    different = {
        line.split(":")[0].split("{")[0].strip()
        for line in set(CPU.splitlines()) ^ set(GPU.splitlines())
        if not line.startswith("#")
    }

    assert different == {
        "instance_group [",
        "max_batch_size",
        "max_queue_delay_microseconds",
        "parameters",
    }


@pytest.mark.parametrize("name", [field.name.upper() for field in dataclasses.fields(Config)])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`PARLANCE_ASR_{name}`" in REFERENCE


@pytest.mark.parametrize("name", [*guards.Fault, tails.REASON])
def test_every_guard_reason_is_documented(name: str) -> None:
    assert f"| `{name}` |" in REFERENCE


@pytest.mark.parametrize("name", [*AsrWindow.model_fields, *AsrOptions.model_fields])
def test_every_field_of_the_contract_is_documented(name: str) -> None:
    assert f"`{name}`" in REFERENCE


def make_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.bin").touch()
    return folder


def test_the_environment_wins_over_the_configuration(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "large-v3-turbo")
    environment = {
        "PARLANCE_ASR_MODEL": str(folder),
        "PARLANCE_ASR_COMPUTE_TYPE": "float16",
        "PARLANCE_ASR_WORKERS": "3",
        "PARLANCE_ASR_DEVICE": "",
    }

    config = parse_config({"device": "cuda", "compute_type": "int8"}, environment)

    assert config == Config(folder, "large-v3-turbo", "cuda", "float16", 3)


def test_a_gpu_has_two_workers_whatever_the_cores(tmp_path: Path) -> None:
    environment = {"PARLANCE_ASR_MODEL": str(make_model(tmp_path / "tiny"))}

    assert parse_config({"device": "cuda"}, environment).workers == 2


def test_a_folder_without_weights_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match=r"no model.bin in .*; set PARLANCE_ASR_MODEL"):
        parse_config({}, {"PARLANCE_ASR_MODEL": str(tmp_path)})


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_a_wrong_number_of_workers_is_refused(workers: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")

    with pytest.raises(UnusableModel, match="workers must be a positive number"):
        parse_config({"workers": workers}, {"PARLANCE_ASR_MODEL": str(folder)})


def test_without_a_setting_the_bundled_model_is_taken() -> None:
    assert parse_config({}, {}).name == "whisper-tiny.en"


def test_no_profile_chooses_the_stub() -> None:
    assert "stub" not in CPU + GPU
    assert parse_config({}, {}).engine == "whisper"


@pytest.mark.parametrize(
    ("name", "value"), [("engine", "parrot"), ("stub_seconds", "soon"), ("stub_seconds", "-1")]
)
def test_a_wrong_engine_or_time_is_refused(name: str, value: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")

    with pytest.raises(UnusableModel, match=f"{name} must be"):
        parse_config({name: value}, {"PARLANCE_ASR_MODEL": str(folder)})
