"""Applies the declared streams and consumers; safe to run from every process at any time."""

from nats.js import JetStreamContext, api
from nats.js.errors import BadRequestError
from parlance.contracts.bus import streams

_STREAM_EXISTS = 10058
"""JetStream's code for "stream name already in use with a different configuration"."""


async def apply(
    js: JetStreamContext, *, replicas: int, job_ack_wait_seconds: float
) -> dict[str, str]:
    """Declare everything; returns the creation time of each stream by name.

    A creation time that differs from an earlier one means that the stream was lost in between.
    """
    created = {}
    for stream in streams.STREAMS:
        info = await _apply_stream(js, build_stream_config(stream, replicas=replicas))
        created[stream.name] = info.created.isoformat() if info.created else ""
    for consumer in streams.list_consumers(job_ack_wait_seconds=job_ack_wait_seconds):
        await js.add_consumer(consumer.stream, build_consumer_config(consumer))
    return created


async def _apply_stream(js: JetStreamContext, config: api.StreamConfig) -> api.StreamInfo:
    try:
        return await js.add_stream(config)
    except BadRequestError as exc:
        if exc.err_code != _STREAM_EXISTS:
            raise
    return await js.update_stream(config)


def build_stream_config(stream: streams.Stream, *, replicas: int) -> api.StreamConfig:
    return api.StreamConfig(
        name=stream.name,
        description=stream.description,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE
        if stream.work_queue
        else api.RetentionPolicy.LIMITS,
        # A full queue must refuse, never forget; a full history forgets its oldest.
        discard=api.DiscardPolicy.NEW if stream.work_queue else api.DiscardPolicy.OLD,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        max_age=stream.max_age_seconds,
        max_bytes=stream.max_bytes,
        max_msgs_per_subject=1 if stream.key_value else -1,
        duplicate_window=stream.duplicate_window_seconds,
        allow_direct=True,
        allow_rollup_hdrs=stream.key_value,
    )


def build_consumer_config(consumer: streams.Consumer) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        name=consumer.durable,
        durable_name=consumer.durable,
        filter_subjects=list(consumer.filter_subjects),
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=consumer.ack_wait_seconds,
        max_ack_pending=consumer.max_ack_pending,
        max_deliver=consumer.max_deliver,
        deliver_policy=api.DeliverPolicy.ALL,
    )
