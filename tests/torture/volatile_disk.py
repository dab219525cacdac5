"""A disk with a write cache that forgets: served to QEMU over NBD, and cut off from its power.

What a real disk does when the power goes: all that was flushed is there; of what was
written since, any part may be, sector by sector, in whatever order its cache was
written back. The protocol is that of the NBD project's doc/proto.md, as far as QEMU asks.
"""

import contextlib
import random
import socket
import struct
import threading
from pathlib import Path

SECTOR_BYTES = 512
GREETING = struct.pack(">8sQH", b"NBDMAGIC", 0x49484156454F5054, 0b11)
OPTION, OPTION_REPLY = struct.Struct(">QII"), struct.Struct(">QIII")
REPLY_MAGIC, SIMPLE_REPLY_MAGIC = 0x3E889045565A9, 0x67446698
OPTION_ABORT, OPTION_GO = 2, 7
REPLY_ACKNOWLEDGED, REPLY_INFORMATION, REPLY_UNSUPPORTED = 1, 3, 0x80000001
HAS_FLAGS, SENDS_FLUSH, SENDS_FORCED = 1, 4, 8
REQUEST, SIMPLE_REPLY = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")
READ, WRITE, DISCONNECT, FLUSH = range(4)
FORCED = 1
"""NBD_CMD_FLAG_FUA: done only once it is on the disk itself."""


class VolatileDisk:
    """One disk on one socket, for one QEMU after the other; `cut` ends it."""

    def __init__(self, content: bytes, address: Path) -> None:
        self.durable = bytearray(content)
        """What is there even without power."""
        self._seen = bytearray(content)
        self._pending: list[tuple[int, bytes]] = []
        self.flushes = 0
        self._guard = threading.Lock()
        self._powered = True
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def cut(self, chance: random.Random) -> tuple[int, int]:
        """Take the power away: of what was not flushed, chance keeps a part; sectors kept and lost."""
        with self._guard:
            self._powered = False
            # From nothing to everything: both ends are as real as what is in between.
            share = chance.choice((0.0, 0.3, 0.7, 1.0))
            kept = lost = 0
            for offset, written in self._pending:
                for start in range(0, len(written), SECTOR_BYTES):
                    if chance.random() < share:
                        sector = written[start : start + SECTOR_BYTES]
                        self.durable[offset + start : offset + start + len(sector)] = sector
                        kept += 1
                    else:
                        lost += 1
            self._pending.clear()
        self.close()
        return kept, lost

    def close(self) -> None:
        """Serve nobody any more."""
        # Closing alone would leave a thread that waits in accept(2) waiting.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError, EOFError):
                    self._agree(client)
                    self._answer(client)

    def _agree(self, client: socket.socket) -> None:
        """The handshake: only to go on with this one disk."""
        client.sendall(GREETING)
        _receive(client, 4)
        while True:
            _, option, length = OPTION.unpack(_receive(client, OPTION.size))
            _receive(client, length)
            if option == OPTION_GO:
                flags = HAS_FLAGS | SENDS_FLUSH | SENDS_FORCED
                information = struct.pack(">HQH", 0, len(self._seen), flags)
                client.sendall(OPTION_REPLY.pack(REPLY_MAGIC, option, REPLY_INFORMATION, len(information)))
                client.sendall(information)
            known = option in {OPTION_GO, OPTION_ABORT}
            kind = REPLY_ACKNOWLEDGED if known else REPLY_UNSUPPORTED
            client.sendall(OPTION_REPLY.pack(REPLY_MAGIC, option, kind, 0))
            if option == OPTION_GO:
                return
            if option == OPTION_ABORT:
                raise EOFError

    def _answer(self, client: socket.socket) -> None:
        while True:
            _, flags, kind, handle, offset, length = REQUEST.unpack(_receive(client, REQUEST.size))
            if kind == DISCONNECT:
                return
            written = _receive(client, length) if kind == WRITE else b""
            with self._guard:
                # Without power nothing is answered: what is not yet in the cache never happened.
                if not self._powered:
                    return
                read = self._do(kind, flags, offset, length, written)
            client.sendall(SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, 0, handle) + read)

    def _do(self, kind: int, flags: int, offset: int, length: int, written: bytes) -> bytes:
        if kind == READ:
            return bytes(self._seen[offset : offset + length])
        if kind == WRITE:
            self._seen[offset : offset + length] = written
            self._pending.append((offset, written))
        # A write that is forced may take all others with it: a disk may always write back.
        if kind == FLUSH or flags & FORCED:
            self.flushes += 1
            for place, content in self._pending:
                self.durable[place : place + len(content)] = content
            self._pending.clear()
        return b""


def _receive(client: socket.socket, length: int) -> bytes:
    """Exactly so many bytes. Raises EOFError where the other side is gone."""
    received = bytearray()
    while len(received) < length:
        part = client.recv(length - len(received))
        if not part:
            raise EOFError
        received += part
    return bytes(received)
