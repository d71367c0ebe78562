"""nats-py's client with two of its gaps closed; both reach into what it keeps private.

Written against nats-py 2.16; `tests/integration/runtime/test_bus.py` tells when they move.
"""

import asyncio

from nats.aio.client import Client, Srv
from nats.aio.subscription import Subscription

_SETTLE_SECONDS = 0.02


class NatsClient(Client):
    """A connection to NATS."""

    async def _connect_to_server(self, s: Srv) -> None:
        """Theirs forgets the socket of a handshake that failed and opens the next: against a server
        that accepts and stays silent, one more with every try, and the loop keeps them all."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call] # theirs
        await super()._connect_to_server(s)

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
