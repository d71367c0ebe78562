"""The `Range` header as players send it."""

import pytest
from parlance.api.domain.calls import audio
from parlance.api.domain.calls.audio import Extent


@pytest.mark.parametrize(
    ("header", "extent"),
    [
        ("", None),
        ("bytes=0-", Extent(0, 100)),
        ("bytes=0-0", Extent(0, 1)),
        ("bytes=10-19", Extent(10, 20)),
        ("bytes=90-500", Extent(90, 100)),
        ("bytes=-10", Extent(90, 100)),
        ("bytes=-500", Extent(0, 100)),
        ("bytes=-", None),
        ("bytes=1-2,5-6", None),
        ("items=1-2", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_a_range_is_read_or_ignored(header: str, extent: Extent | None) -> None:
    assert audio.parse_range(header, 100) == extent


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=5-4", "bytes=-0"])
def test_a_range_without_a_byte_cannot_be_served(header: str) -> None:
    with pytest.raises(audio.Unsatisfiable):
        audio.parse_range(header, 100)
