"""nats-py's client with three of its gaps closed; all reach into what it keeps private.

Written against nats-py 2.16; `tests/integration/runtime/test_bus.py` tells when they move.
"""

import asyncio

from nats.aio.client import Client, Srv
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
        await super()._connect_to_server(s)

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

    async def end_interest(self, subscription: Subscription) -> None:
        """Ask the server to send nothing more, and take in what it sends all the same.

        Theirs drops what comes after its own end of a subscription. JetStream delivers from a
        thread of its own, so a message may even come a moment after the server has confirmed the
        end: hence a second round trip. One that is later still waits for its ack wait.
        """
        await self._send_unsubscribe(subscription._id)
        await self.flush()
        await asyncio.sleep(_SETTLE_SECONDS)
        await subscription.drain()  # type: ignore[no-untyped-call] # theirs
