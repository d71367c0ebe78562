"""What is told of a call and asked of its worker while the call is transcribed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.jobs import ControlAction

from devstack import nats_server, testdata, triton
from devstack.errors import NotInTime
from tests.integration.worker import rig as rigs
from tests.integration.worker.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    stub_triton: triton.TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    """A worker that has one window of a call at the model at a time."""
    folder = tmp_path_factory.mktemp("running-call")
    async with (
        nats_server.open_nats(folder / "nats") as nats,
        rigs.open_rig(nats, stub_triton, folder) as opened,
        opened.worker("a", PARLANCE_WORKER_WINDOWS_PER_CALL="1"),
    ):
        yield opened


async def test_words_come_while_the_rest_of_the_call_is_not_transcribed_yet(
    rig: Rig, stub_triton: triton.TritonServer
) -> None:
    """The model is stopped at the first words, with minutes of the call before it: were they held
    back to the end, the end would come in spite of that."""
    call = await testdata.make_long_call(300.0)
    call_id = await rig.submit(call.path)
    await rig.wait_for(call_id, EventType.SEGMENT)
    await stub_triton.process.pause()
    try:
        with pytest.raises(NotInTime):
            await rig.wait_for(call_id, EventType.TRANSCRIBED, timeout_seconds=2)
    finally:
        stub_triton.process.resume()
    await rig.wait_for(call_id, EventType.ANALYZED)


async def test_cancelling_stops_the_work_within_one_window(rig: Rig) -> None:
    call = await testdata.make_long_call(300.0)
    call_id = await rig.submit(call.path)
    await rig.wait_for(call_id, EventType.SEGMENT, count=2)

    await rig.bus.put_control(call_id, ControlAction.CANCEL)
    done = len(rig.events.windows_of(call_id))
    await rig.wait_for(call_id, EventType.CANCELLED, timeout_seconds=30)
    after = len(rig.events.windows_of(call_id))
    other = await rig.submit((await testdata.fetch_beckett()).path)
    await rig.wait_for(other, EventType.ANALYZED)

    assert after - done <= 1
    assert len(rig.events.windows_of(call_id)) == after
    assert rig.events.of(call_id, EventType.ANALYZED) == []
