"""Which kinds of work a worker does, and that it loads what they need and no more."""

import subprocess
import sys

import pytest
from parlance.contracts.bus.subjects import Kind
from parlance.inference.settings import WorkerSettings
from pydantic import ValidationError

_LOADED = """
import sys
import parlance.inference.__main__
import parlance.inference.wiring.ticket_work
heavy = "tritonclient grpc onnxruntime av numpy faster_whisper phonenumbers py3langid"
print(*(name for name in heavy.split() if name in sys.modules))
"""


def test_a_worker_does_calls_and_tickets_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLANCE_WORKER_LANES", raising=False)

    assert WorkerSettings().worker_lanes == (Kind.CALL, Kind.TICKET)


@pytest.mark.parametrize(
    ("text", "lanes"),
    [("ticket", (Kind.TICKET,)), ("call, ticket", (Kind.CALL, Kind.TICKET))],
)
def test_lanes_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, lanes: tuple[Kind, ...]
) -> None:
    monkeypatch.setenv("PARLANCE_WORKER_LANES", text)

    assert WorkerSettings().worker_lanes == lanes


@pytest.mark.parametrize("text", ["sheet", "call,,ticket", "Call"])
def test_a_lane_that_no_worker_has_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PARLANCE_WORKER_LANES", text)

    with pytest.raises(ValidationError):
        WorkerSettings()


def test_a_worker_of_tickets_loads_no_model_and_no_decoder() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True
    ).stdout

    assert loaded.strip() == ""
