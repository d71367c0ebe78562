"""Ordered following of a stream: every message once and in order, from a sequence on.

The client's ordered consumer does not notice missed heartbeats (its issue 510) and so can go
silent for ever. This one pulls: every request has a deadline, and whatever goes wrong, a fresh
consumer continues after the last sequence seen.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError
from parlance.runtime.bus.nats_client import NatsClient
from parlance.runtime.bus.pull import ConsumerGone, Puller
from parlance.runtime.errors import BusReset

_log = structlog.get_logger(__name__)
_BATCH = 512
_WAIT_SECONDS = 5.0
_RETRY_SECONDS = 0.25
_INACTIVE_SECONDS = 60.0
"""The server forgets the consumer this long after its reader went away."""


async def tail(
    client: NatsClient,
    js: JetStreamContext,
    *,
    stream: str,
    filter_subject: str,
    last_per_subject: bool = False,
    after_sequence: int | None = None,
) -> AsyncIterator[Msg]:
    """Follow until the caller stops. Raises BusReset when the stream was rebuilt.

    Starts after `after_sequence`, else with the newest message of each subject
    (`last_per_subject`), else from now on.
    """
    created: object = None
    last = after_sequence
    while True:
        puller = None
        try:
            info = await js.stream_info(stream)
            # Sequences never go back: a caller that is ahead of the stream knew another one.
            is_behind = last is not None and last > info.state.last_seq
            if is_behind or (created is not None and info.created != created):
                raise BusReset(stream)
            created = info.created
            if last is None and not last_per_subject:
                last = info.state.last_seq
            name = await _open_consumer(js, stream, filter_subject, last)
            puller = Puller(client, stream=stream, consumer=name)
            async for message in _follow(puller):
                last = message.metadata.sequence.stream
                yield message
        except NotFoundError as exc:
            if created is not None:
                raise BusReset(stream) from exc
            await asyncio.sleep(_RETRY_SECONDS)
        except (NatsError, TimeoutError, ConsumerGone) as exc:
            _log.debug("tail interrupted", stream=stream, problem=repr(exc))
            await asyncio.sleep(_RETRY_SECONDS)
        finally:
            if puller is not None and client.is_connected:
                await puller.discard()


async def _open_consumer(
    js: JetStreamContext, stream: str, filter_subject: str, last: int | None
) -> str:
    """A short-lived consumer that starts after `last`, or with the newest per subject."""
    config = api.ConsumerConfig(
        filter_subject=filter_subject,
        ack_policy=api.AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=_INACTIVE_SECONDS,
    )
    if last is None:
        config.deliver_policy = api.DeliverPolicy.LAST_PER_SUBJECT
    else:
        config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
        config.opt_start_seq = last + 1
    info = await js.add_consumer(stream, config)
    return str(info.name)


async def _follow(puller: Puller) -> AsyncIterator[Msg]:
    """Messages as long as none is missing between two."""
    expected = 1
    while True:
        for message in await puller.fetch(_BATCH, _WAIT_SECONDS):
            if message.metadata.sequence.consumer != expected:
                return  # something was lost on the way; start over after the last one seen
            expected += 1
            yield message
