"""nats-py's client with five of its gaps closed; all reach into what it keeps private.

Written against nats-py 2.16; `tests/integration/runtime/test_bus.py` tells when they move.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

_SETTLE_SECONDS = 0.02
_REFUSED_SUBJECT = "permissions violation"
"""An error after which the server keeps the connection, and which nats-py survives."""


class NatsClient(Client):
    """A connection to NATS."""

    async def _connect_to_server(self, s: Srv) -> None:
        """Theirs forgets the socket of a handshake that failed and opens the next: against a server
        that accepts and stays silent, one more with every try, and the loop keeps them all."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call] # theirs
        with _cancellation_kept():
            await super()._connect_to_server(s)

    async def _process_connect_init(self) -> None:
        with _cancellation_kept():
            await super()._process_connect_init()

    async def request(self, *args: Any, **kwargs: Any) -> Msg:
        with _cancellation_kept():
            return await super().request(*args, **kwargs)

    async def flush(self, *args: Any, **kwargs: Any) -> None:
        with _cancellation_kept():
            await super().flush(*args, **kwargs)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        with _cancellation_kept():
            return await super()._flush_pending(force_flush)

    async def _process_err(self, err_msg: str) -> None:
        """Theirs closes for good at an error that it does not know, also at one that passes: users
        that are read anew, a limit that is reached. The process would be deaf for the rest of its
        life. The server has closed the connection or will do so; we come back as after any break.
        """
        if _REFUSED_SUBJECT in err_msg or not (self.is_connected or self.is_reconnecting):
            await super()._process_err(err_msg)
            return
        error = NatsError(f"nats: {err_msg}")
        await self._error_cb(error)
        await self._process_op_err(error)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """Theirs gives up half-way when there is something left to send and the server is gone. It
        has thrown that away by then, so a second time it gets to its end."""
        try:
            await super()._close(status, do_cbs)
        except OSError:
            self._status = Client.DISCONNECTED  # or it would take itself for closed
            await super()._close(status, do_cbs)

    async def end_interest(self, subscription: Subscription) -> None:
        """Ask the server to send nothing more, and take in what it sends all the same.

        Theirs drops what comes after its own end of a subscription. JetStream delivers from a
        thread of its own, so a message may even come a moment after the server has confirmed the
        end: hence a second round trip. One that is later still waits for its ack wait.
        """
        await self._send_unsubscribe(subscription._id)
        await self.flush()
        await asyncio.sleep(_SETTLE_SECONDS)
        with _cancellation_kept():
            await subscription.drain()  # type: ignore[no-untyped-call] # theirs


@contextlib.contextmanager
def _cancellation_kept() -> Iterator[None]:
    """Raise the CancelledError that the body was given and swallowed.

    Theirs waits with `asyncio.wait_for`, which on Python 3.11 gives the answer, or the answer's own
    error, when it comes together with the cancellation; other places pass over the exception by
    themselves. A loop that was told to end would go on, and whoever waits for its end would wait
    for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
