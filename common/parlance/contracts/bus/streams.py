"""Streams, consumers and buckets as data. `runtime.bus` applies them; docs and tests read them."""

from dataclasses import dataclass

from parlance.contracts.calls import Priority

from . import calls, subjects, tickets
from .subjects import Kind

HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Stream:
    """A JetStream stream. Bounds are part of the contract: nothing here grows without end."""

    name: str
    subjects: tuple[str, ...]
    work_queue: bool
    max_age_seconds: int
    """0: kept until acked."""
    max_bytes: int
    duplicate_window_seconds: int
    description: str
    key_value: bool = False
    """A KV bucket: the newest message per subject only, readable with any NATS KV client."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable pull consumer."""

    stream: str
    durable: str
    filter_subjects: tuple[str, ...]
    ack_wait_seconds: float
    max_ack_pending: int
    max_deliver: int = -1
    """-1: endless; the reader looks at the delivery count and ends it itself."""


JOBS = Stream(
    name="JOBS",
    subjects=(subjects.JOBS_ALL,),
    work_queue=True,
    max_age_seconds=0,
    max_bytes=1 << 30,
    duplicate_window_seconds=600,
    description="Work to do; a message lives until a worker acks it.",
)
RESULTS = Stream(
    name="RESULTS",
    subjects=(subjects.RESULTS_ALL,),
    work_queue=True,
    max_age_seconds=0,
    max_bytes=1 << 30,
    duplicate_window_seconds=600,
    description="What workers found, on its way to the recorder; lives until that has stored it.",
)
EVENTS = Stream(
    name="EVENTS",
    subjects=(subjects.EVENTS_ALL,),
    work_queue=False,
    max_age_seconds=72 * HOUR_SECONDS,
    max_bytes=2 << 30,
    duplicate_window_seconds=HOUR_SECONDS,
    description="Everything a client may see, kept 72 h for resuming.",
)
ADVISORIES = Stream(
    name="ADVISORIES",
    subjects=subjects.ADVISORIES,
    work_queue=False,
    max_age_seconds=7 * 24 * HOUR_SECONDS,
    max_bytes=64 << 20,
    duplicate_window_seconds=120,
    description="Dead letters: deliveries given up.",
)
CONTROL = Stream(
    name="KV_CONTROL",
    subjects=(subjects.CONTROL_ALL,),
    work_queue=False,
    max_age_seconds=24 * HOUR_SECONDS,
    max_bytes=64 << 20,
    duplicate_window_seconds=120,
    description="Notes to whoever works on a job: cancel, pause.",
    key_value=True,
)
STREAMS = (JOBS, RESULTS, EVENTS, ADVISORIES, CONTROL)

JOB_ACK_WAIT_SECONDS = 30.0
"""Usual wait for a sign of life of a worker; a setting of the bus changes it."""

LANE_WEIGHTS = {Priority.INTERACTIVE: 8, Priority.STANDARD: 3, Priority.BULK: 1}


def job_consumer(
    kind: Kind, priority: Priority, *, ack_wait_seconds: float = JOB_ACK_WAIT_SECONDS
) -> Consumer:
    """The consumer that all workers share for one lane."""
    return Consumer(
        stream=JOBS.name,
        durable=f"{kind}-{priority}",
        filter_subjects=(subjects.format_jobs_of_lane(kind, priority),),
        ack_wait_seconds=ack_wait_seconds,
        max_ack_pending=1000,
    )


RECORDER = Consumer(
    stream=EVENTS.name,
    durable="recorder",
    filter_subjects=calls.RECORDED_FILTERS,
    ack_wait_seconds=15.0,
    max_ack_pending=256,
)
"""The recorder's consumer for the events of calls.

Each further kind of work that is recorded needs a durable consumer of its own, and never a wider
filter here, for three reasons. A consumer whose filter changes keeps its position in the stream, so
events of the new kind that are stored before that position would never be delivered. Every process
declares its consumers, so during an upgrade the old version would set the narrower filter again.
And `max_ack_pending` counts all kinds together, so events of one kind that cannot be applied would
keep those of the others from being delivered.
"""
TICKET_RECORDER = Consumer(
    stream=EVENTS.name,
    durable="recorder-tickets",
    filter_subjects=tickets.RECORDED_FILTERS,
    ack_wait_seconds=15.0,
    max_ack_pending=256,
)
"""The recorder's consumer for the events of tickets."""
TICKET_RESULTS = Consumer(
    stream=RESULTS.name,
    durable="recorder-ticket-results",
    filter_subjects=(subjects.format_results_of_kind(Kind.TICKET),),
    ack_wait_seconds=15.0,
    max_ack_pending=256,
)
"""The recorder's consumer for the results of tickets."""
OPERATOR = Consumer(
    stream=EVENTS.name,
    durable="operator",
    filter_subjects=(subjects.format_events_of_kind(Kind.CALL),),
    ack_wait_seconds=60.0,
    max_ack_pending=1024,
)


def list_consumers(*, job_ack_wait_seconds: float = JOB_ACK_WAIT_SECONDS) -> tuple[Consumer, ...]:
    """All durable consumers."""
    lanes = (
        job_consumer(kind, priority, ack_wait_seconds=job_ack_wait_seconds)
        for kind in (Kind.CALL, Kind.TICKET)
        for priority in Priority
    )
    return (*lanes, RECORDER, TICKET_RECORDER, TICKET_RESULTS, OPERATOR)
