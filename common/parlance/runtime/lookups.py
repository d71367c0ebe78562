"""Host names that clients chose, asked for apart from our own.

The event loop has four threads for name lookups. Four addresses of a domain whose name servers stay
silent would hold them all for half a minute, and with them every reconnect to the database and to
NATS. So these get a few threads of their own. Used by `runtime.fetch`.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

MAX_LOOKUPS = 16

Ask = Callable[[str, int], Sequence[str]]


def ask_system(name: str, port: int) -> Sequence[str]:
    """Addresses from the system's resolver, in its order. Blocks; raises OSError."""
    answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class Lookups:
    """At most `limit` at a time; the others wait their turn, for as long as their caller does."""

    def __init__(self, ask: Ask = ask_system, *, limit: int = MAX_LOOKUPS) -> None:
        self._ask = ask
        self._places = asyncio.Semaphore(limit)

    async def find(self, name: str, port: int) -> Sequence[str]:
        """Raises OSError."""
        await self._places.acquire()
        answer: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        # A daemon: the process need not wait for an answer that nobody wants any more.
        thread = threading.Thread(
            target=self._look_up, args=(name, port, answer), name="lookup", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as exc:
            self._places.release()
            raise OSError("no thread for a lookup") from exc
        return await answer

    def _look_up(self, name: str, port: int, answer: "asyncio.Future[Sequence[str]]") -> None:
        found: Sequence[str] | Exception
        try:
            found = self._ask(name, port)
        except Exception as exc:  # noqa: BLE001 - goes to whoever asked
            found = exc
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            answer.get_loop().call_soon_threadsafe(self._tell, answer, found)

    def _tell(
        self, answer: "asyncio.Future[Sequence[str]]", found: Sequence[str] | Exception
    ) -> None:
        # Only now: who went away early must not make room for a thread more.
        self._places.release()
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)
