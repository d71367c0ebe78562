"""Publishing to streams: many messages on their way at once, each with a future for its answer.

Why not the client's own publish: it waits for each answer with a task, a timer and a copy of the
answer, which costs more than all else that a small message needs, and it does not notice that the
connection is lost before the timer does.
"""

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError
from parlance.runtime.bus.nats_client import NatsClient

_NO_RESPONDERS = "503"


@dataclass(frozen=True, slots=True)
class Stored:
    """The server's answer: where the message lies."""

    sequence: int
    is_repeat: bool
    """A message with the same id was stored before; this is where that lies."""


class Publisher:
    """What one connection publishes to streams."""

    def __init__(self, client: NatsClient) -> None:
        self._client = client
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Stored]] = {}
        self._inbox = ""
        self._opening = asyncio.Lock()

    async def publish(
        self, subject: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> Stored:
        """Returns once the message is stored. Raises what the client raises, TimeoutError, and
        ConnectionResetError when the connection breaks meanwhile: the message may be stored then.
        """
        if not self._inbox:
            await self._open()
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        answer: asyncio.Future[Stored] = loop.create_future()
        self._waiting[number] = answer
        timer = loop.call_later(timeout_seconds, _expire, answer)
        try:
            await self._client.publish(
                subject, body, reply=f"{self._inbox}.{number}", headers=dict(headers)
            )
            return await answer
        finally:
            timer.cancel()
            del self._waiting[number]

    def give_up_all(self) -> None:
        """The connection is lost: no answer can arrive any more."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("nats disconnected"))

    async def _open(self) -> None:
        async with self._opening:
            if not self._inbox:
                inbox = self._client.new_inbox()
                await self._client.subscribe(f"{inbox}.*", cb=self._take)
                self._inbox = inbox

    async def _take(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject.rpartition(".")[2])
        if answer is None or answer.done():
            return
        try:
            answer.set_result(_parse(message))
        except Exception as exc:  # noqa: BLE001 - handed to whoever waits for it
            answer.set_exception(exc)


def _parse(message: Msg) -> Stored:
    if not message.data and (message.headers or {}).get("Status") == _NO_RESPONDERS:
        raise NoStreamResponseError
    body = json.loads(message.data)
    if "error" in body:
        APIError.from_error(body["error"])  # raises the error that its code stands for
    return Stored(int(body["seq"]), bool(body.get("duplicate")))


def _expire(answer: asyncio.Future[Stored]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
