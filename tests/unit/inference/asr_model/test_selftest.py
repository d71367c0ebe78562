"""What the model proves about itself before it takes requests."""

from collections.abc import Sequence

import pytest
from asr import selftest
from asr.engine import Transcript, Window
from asr.errors import UnusableModel
from asr.options import Options

NEW_SERVER = {selftest.RELEASE_VARIABLE: "26.07"}


class SilentEngine:
    """An engine that loads and gives nothing."""

    name = digest = ""

    def check(self, options: Options) -> None:
        """Any options will do."""

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
        return [None for _ in windows]


def test_a_model_that_gives_no_result_does_not_load() -> None:
    with pytest.raises(UnusableModel, match="without a result"):
        selftest.check(SilentEngine(), NEW_SERVER)


@pytest.mark.parametrize(("version", "release"), [("1.26.4", ""), ("2.2.6", "26.07")])
def test_a_numpy_that_the_server_can_send_is_accepted(version: str, release: str) -> None:
    selftest.check_numpy(version, release)


@pytest.mark.parametrize("release", ["", "24.10"])
def test_numpy_2_is_refused_where_results_would_arrive_empty(release: str) -> None:
    with pytest.raises(UnusableModel, match=r"numpy 2.2.6 .* empty results"):
        selftest.check_numpy("2.2.6", release)
