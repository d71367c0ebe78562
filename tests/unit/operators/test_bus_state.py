"""When the bus counts as away, and since when it is back."""

from typing import cast

from parlance.operator.bus_state import BusState
from parlance.operator.freshness import Freshness
from parlance.operator.settings import OperatorSettings
from parlance.runtime.bus import Bus
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import BusUnavailable


class _Bus:
    """Answers, or does not."""

    is_connected = True
    is_silent = False

    async def jobs_created(self) -> str:
        if self.is_silent:
            raise BusUnavailable("look at JOBS")
        return "2026-01-01"


def build() -> tuple[BusState, _Bus, ManualClock]:
    clock, bus = ManualClock(), _Bus()
    freshness = Freshness(OperatorSettings(), clock)
    return BusState(cast(Bus, bus), freshness, clock), bus, clock


async def test_bus_is_back_from_its_first_answer_on() -> None:
    state, _, clock = build()
    clock.advance(3)
    await state.look()

    assert (state.created, state.back_at) == ("2026-01-01", clock.now())


async def test_only_an_outage_moves_the_moment() -> None:
    state, bus, clock = build()
    await state.look()
    begun = clock.now()

    for silence_seconds in (5, 120):
        bus.is_silent = True
        state.mark_down()  # as a reconcile does that got no answer
        clock.advance(silence_seconds)
        await state.look()
        assert state.created is None
        bus.is_silent = False
        await state.look()
        assert state.created == "2026-01-01"
        is_outage = silence_seconds > 10
        assert state.back_at == (clock.now() if is_outage else begun)
