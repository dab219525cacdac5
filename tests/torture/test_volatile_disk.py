"""The disk of the power cuts: it keeps what was flushed, and of the rest what chance keeps."""

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.torture.volatile_disk import (
    FLUSH,
    FORCED,
    GREETING,
    OPTION,
    OPTION_GO,
    READ,
    REQUEST,
    SECTOR_BYTES,
    SIMPLE_REPLY,
    WRITE,
    VolatileDisk,
)

OLD, NEW = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES
SECTORS = 64


class Client:
    """What QEMU says to it."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._stream.read(len(GREETING))
        self._stream.write(struct.pack(">I", 3) + OPTION.pack(0x49484156454F5054, OPTION_GO, 0))
        self._stream.flush()
        # The size and the flags of the disk, then that it goes on.
        self._stream.read(20 + 12 + 20)

    def ask(self, kind: int, sector: int = 0, content: bytes = b"", flags: int = 0) -> bytes:
        """One request on one sector, and its answer."""
        length = SECTOR_BYTES if kind == READ else len(content)
        self._stream.write(REQUEST.pack(0x25609513, flags, kind, 1, sector * SECTOR_BYTES, length) + content)
        self._stream.flush()
        assert SIMPLE_REPLY.unpack(self._stream.read(SIMPLE_REPLY.size))[1:] == (0, 1)
        return self._stream.read(SECTOR_BYTES) if kind == READ else b""


@contextmanager
def client_of(address: Path) -> Iterator[Client]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
        yield Client(connection)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    made = VolatileDisk(OLD * SECTORS, tmp_path / "disk")
    yield made
    made.close()


def kept(disk: VolatileDisk) -> list[bool]:
    """Of every sector, whether it is the new one."""
    sectors = [
        bytes(disk.durable[at : at + SECTOR_BYTES]) for at in range(0, len(OLD) * SECTORS, SECTOR_BYTES)
    ]
    assert set(sectors) <= {OLD, NEW}
    return [sector == NEW for sector in sectors]


def test_what_was_flushed_or_forced_stays_and_the_rest_is_left_to_chance(
    disk: VolatileDisk, tmp_path: Path
) -> None:
    with client_of(tmp_path / "disk") as client:
        client.ask(WRITE, 0, NEW)
        client.ask(FLUSH)
        client.ask(WRITE, 1, NEW, FORCED)
        for sector in range(2, SECTORS):
            client.ask(WRITE, sector, NEW)
        assert client.ask(READ, SECTORS - 1) == NEW, "the cache itself shows what was written"
        # With this chance neither all nor nothing is kept.
        assert disk.cut(random.Random(1)) != (0, 0)  # noqa: S311  -- the same chance every time
    found = kept(disk)
    assert found[:2] == [True, True]
    assert 0 < sum(found[2:]) < SECTORS - 2


def test_without_power_nothing_is_answered(disk: VolatileDisk, tmp_path: Path) -> None:
    with client_of(tmp_path / "disk") as client:
        disk.cut(random.Random(1))  # noqa: S311  -- the same chance every time
        with pytest.raises((AssertionError, OSError, struct.error)):
            client.ask(WRITE, 0, NEW)
    assert not any(kept(disk))
