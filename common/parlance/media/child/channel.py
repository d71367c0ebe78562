"""The child's end of the socket to its parent: the job and the file's bytes come in, frames go out.

Imports nothing of the child, so that every job of it may.
"""

import json
import os
from typing import Any

from parlance.media import wire


class Channel:
    """Blocking. A parent that is gone ends the child."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, kind: bytes, payload: bytes | bytearray | memoryview) -> None:
        data = memoryview(wire.FRAME.pack(kind, len(payload)) + payload)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def send_message(self, message: dict[str, Any]) -> None:
        self.send(wire.MESSAGE, json.dumps(message).encode())

    def receive(self) -> bytes:
        (length,) = wire.LENGTH.unpack(self._receive_exactly(wire.LENGTH.size))
        return self._receive_exactly(length)

    def _receive_exactly(self, length: int) -> bytes:
        parts, missing = [], length
        while missing:
            part = os.read(self._descriptor, missing)
            if not part:
                raise SystemExit(0)  # the parent closed its end: nobody waits for an answer
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
