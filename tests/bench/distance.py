"""A server that is as far away as servers are: what loopback hands on at once arrives later."""

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.mirror.server import LOOPBACK

CHUNK_BYTES = 1 << 16
END_SECONDS = 5.0


@contextmanager
def far_away(port: int, seconds: float) -> Iterator[int]:
    """Another port on loopback, from where to that port and back it takes this long."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def connect(reader: StreamReader, writer: StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(
            _pass_on(reader, there_writer, seconds / 2), _pass_on(there_reader, writer, seconds / 2)
        )

    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(connect, LOOPBACK, 0), loop)
    try:
        yield int(listening.result().sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pass_on(reader: StreamReader, writer: StreamWriter, seconds: float) -> None:
    """Everything in its order, each chunk so much later, and the end too."""
    loop = asyncio.get_running_loop()
    while chunk := await reader.read(CHUNK_BYTES):
        loop.call_later(seconds, writer.write, chunk)
    await asyncio.sleep(seconds)
    writer.close()


async def _end_all() -> None:
    """Let the connections end whose clients are gone."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=END_SECONDS)
