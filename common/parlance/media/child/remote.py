"""The untrusted file as FFmpeg reads it: a file object whose bytes come over the socket.

Blocks of 1 MiB are kept for a while (an MP4's index is at one end and its sound at the other) and
asked for ahead while the file is read in order, so that the store's latency is hidden.
"""

from collections import OrderedDict, deque

from parlance.media import wire
from parlance.media.child.channel import Channel
from parlance.media.child.refusal import Refusal

_KEPT_BLOCKS = 8
_BLOCKS_AHEAD = 2


class RemoteFile:
    """Read-only, seekable. FFmpeg copies what `read` returns into a buffer of the size it asked
    for without a check, so `read` never returns more."""

    def __init__(self, channel: Channel, size_bytes: int, max_read_bytes: int) -> None:
        self._channel = channel
        self.size_bytes = size_bytes
        self._bytes_left = max_read_bytes
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._asked: deque[int] = deque()
        self._last_block = -1
        self._in_order = 0

    def read(self, length: int) -> bytes:
        if self._position >= self.size_bytes or length <= 0:
            return b""
        index, start = divmod(self._position, wire.READ_BLOCK_BYTES)
        data = self._block(index)[start : start + length]
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self.size_bytes)[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def peek(self, offset: int, length: int) -> bytes:
        """Bytes at a place, clipped to the file, without moving."""
        position, self._position = self._position, max(0, offset)
        data = b""
        while len(data) < length and (part := self.read(length - len(data))):
            data += part
        self._position = position
        return data

    def _block(self, index: int) -> bytes:
        self._note_order(index)
        while index not in self._blocks:
            if index not in self._asked:
                self._ask(index)
            self._take()
        self._blocks.move_to_end(index)
        for ahead in range(index + 1, index + 1 + _BLOCKS_AHEAD):
            if self._in_order >= 2 and ahead not in self._blocks and ahead not in self._asked:
                self._ask(ahead)
        return self._blocks[index]

    def _note_order(self, index: int) -> None:
        if index != self._last_block:
            self._in_order = self._in_order + 1 if index == self._last_block + 1 else 0
            self._last_block = index

    def _ask(self, index: int) -> None:
        offset = index * wire.READ_BLOCK_BYTES
        length = min(wire.READ_BLOCK_BYTES, self.size_bytes - offset)
        if length <= 0:
            return
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise Refusal("undecodable_audio", "it would have to be read over and over again")
        self._channel.send(wire.REQUEST, wire.RANGE.pack(offset, length))
        self._asked.append(index)

    def _take(self) -> None:
        self._blocks[self._asked.popleft()] = self._channel.receive()
        while len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
