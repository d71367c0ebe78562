"""Two kinds of work in one worker: calls, and a kind that only this test knows."""

import asyncio
from datetime import UTC, datetime
from typing import ClassVar

from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction, Dispatch
from parlance.contracts.bus.kinds import Cancelled, KindEvents, Retrying
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import ModelInfo, Priority
from parlance.contracts.crs.meta import Reason
from parlance.contracts.ids import CompanySlug
from parlance.contracts.lifecycle import Step
from parlance.contracts.problems import Problem
from parlance.contracts.values import Value
from parlance.inference.asr.errors import AsrUnavailable
from parlance.inference.engine import endings
from parlance.inference.engine.endings import Ending, Rejected
from parlance.inference.engine.kinds import Run
from parlance.inference.engine.loop import WorkerLoop
from parlance.inference.engine.waits import Awaited
from parlance.runtime.clock import SystemClock
from parlance.runtime.store import Store

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeStream, FakeTranscriber


class TicketDispatch(Dispatch):
    kind: ClassVar[Kind] = Kind.TICKET
    ticket_id: str

    @property
    def subject_id(self) -> str:
        return self.ticket_id


class Read(Value):
    """The work is done."""


class Failed(Value):
    code: str


class Sign(Value):
    """It goes on."""


class TicketTask:
    def __init__(self, run: Run[TicketDispatch], is_read: asyncio.Event) -> None:
        self._run = run
        self._is_read = is_read

    def recall(self, event: Envelope) -> None:
        """Nothing can be reused."""

    def build_sign(self, awaited: Awaited | None) -> Sign:
        return Sign()

    def build_failed(self, rejected: Rejected) -> Failed:
        return Failed(code=rejected.problem.code)

    async def run(self) -> None:
        if self._run.dispatch.ticket_id == "unreadable":
            raise UnicodeError
        await self._is_read.wait()
        await self._run.reporter.publish(Read())


class TicketKind:
    dispatch_type = TicketDispatch
    starts_anew = False
    first_sign_seconds = 30.0
    events = KindEvents(
        data_of={
            "ticket.read": Read,
            "ticket.progress": Sign,
            "ticket.retrying": Retrying,
            "ticket.failed": Failed,
            "ticket.cancelled": Cancelled,
        },
        step_of={
            "ticket.read": Step.DELIVERED,
            "ticket.progress": Step.SIGN,
            "ticket.retrying": Step.SIGN,
            "ticket.failed": Step.FAILED,
            "ticket.cancelled": Step.CANCELLED,
        },
    )

    def __init__(self) -> None:
        self.is_read = asyncio.Event()
        self.is_read.set()

    def build_task(self, run: Run[TicketDispatch]) -> TicketTask:
        return TicketTask(run, self.is_read)

    def find_problem(self) -> str | None:
        return None

    def plan_ending(self, error: BaseException) -> Ending | None:
        if isinstance(error, UnicodeError):
            return endings.reject(Reason.INVALID_INPUT, Problem.INVALID_TEXT, "not text")
        return None


class _AbsentModel(FakeTranscriber):
    async def identify(self) -> ModelInfo:
        raise AsrUnavailable("UNAVAILABLE")


class _Rig:
    def __init__(
        self, objects: Store, transcriber: FakeTranscriber, *, problem: str | None = None
    ) -> None:
        """`problem` keeps the worker from calls."""
        self.bus, self.tickets = FakeBus(), TicketKind()
        tools = fakes.build_tools(objects, FakeStream([fakes.build_window(0)]), transcriber)
        self._loop = WorkerLoop(
            self.bus,
            [fakes.build_kind(tools, problem=problem), self.tickets],
            SystemClock(),
            fakes.build_patience(60),
            slots=4,
        )
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._loop.run(self._stopping, drain_seconds=0))

    def deliver_ticket(self, ticket_id: str) -> fakes.FakeDelivery[TicketDispatch]:
        dispatch = TicketDispatch(
            ticket_id=ticket_id,
            company=CompanySlug("acme"),
            attempt=1,
            uid=ticket_id,
            priority=Priority.STANDARD,
            dispatched_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return self.bus.deliver(dispatch, sequence=99)

    async def stop(self) -> None:
        self._stopping.set()
        await self._task


async def _until_answered(delivery: fakes.FakeDelivery[TicketDispatch]) -> list[str]:
    async with asyncio.timeout(5):
        while not delivery.answers:
            await asyncio.sleep(0.002)
    return delivery.answers


async def test_a_ticket_does_not_wait_for_the_speech_model(objects: Store) -> None:
    rig = _Rig(objects, _AbsentModel())
    call = rig.bus.deliver(fakes.build_dispatch())
    ticket = rig.deliver_ticket("t1")

    answers = await _until_answered(ticket)
    call_answers = list(call.answers)
    await rig.stop()

    assert (answers, call_answers) == (["ack"], [])
    assert rig.bus.find("ticket.read").subject == "t1"


async def test_a_worker_that_cannot_read_audio_takes_no_calls_but_other_work(
    objects: Store,
) -> None:
    rig = _Rig(objects, FakeTranscriber(), problem="no sandbox")
    call = rig.bus.deliver(fakes.build_dispatch())

    answers = await _until_answered(rig.deliver_ticket("t1"))
    await rig.stop()

    assert answers == ["ack"]
    assert rig.bus.lanes[Priority.STANDARD] == [call]


async def test_each_kind_says_its_failure_in_its_own_words(objects: Store) -> None:
    rig = _Rig(objects, FakeTranscriber())

    answers = await _until_answered(rig.deliver_ticket("unreadable"))
    await rig.stop()

    assert answers == ["term"]
    assert rig.bus.find("ticket.failed").data == {"code": "invalid_text"}


async def test_a_note_reaches_the_work_of_every_kind(objects: Store) -> None:
    rig = _Rig(objects, FakeTranscriber())
    rig.tickets.is_read.clear()
    ticket = rig.deliver_ticket("t1")
    async with asyncio.timeout(5):
        while rig.bus.lanes[Priority.STANDARD]:
            await asyncio.sleep(0.002)

    rig.bus.leave_note("t1", ControlAction.CANCEL)
    answers = await _until_answered(ticket)
    await rig.stop()

    assert answers == ["ack"]
    assert rig.bus.find("ticket.cancelled").subject == "t1"


async def test_work_of_two_kinds_with_the_same_id_is_not_the_same_work(objects: Store) -> None:
    transcriber = FakeTranscriber()
    rig = _Rig(objects, transcriber)
    transcriber.open.clear()
    call = rig.bus.deliver(fakes.build_dispatch())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.002)

    answers = await _until_answered(rig.deliver_ticket(fakes.CALL_ID))
    call_answers = list(call.answers)
    await rig.stop()

    assert (answers, call_answers) == (["ack"], [])
