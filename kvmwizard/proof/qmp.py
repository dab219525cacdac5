"""Speaks QMP by the QEMU project's own library."""

import asyncio
import socket
from typing import cast

from qemu.qmp import QMPClient


async def query_kvm(connection: socket.socket, seconds: float) -> tuple[bool, bool]:
    """Ask QEMU whether KVM is present, and whether it is enabled.

    Args:
        connection: to QEMU's QMP monitor; belongs to the client from then on.
        seconds: how long the whole talk may take.

    Raises:
        TimeoutError: QEMU did not answer in time.
        QMPError: it refused, or hung up.
        ValueError: its answer has another form.
    """
    client = QMPClient("kvmwizard")
    try:
        async with asyncio.timeout(seconds):
            await client.connect(connection)
            answer = await client.execute("query-kvm")
    finally:
        await client.disconnect()
    if not isinstance(answer, dict) or not {"present", "enabled"} <= answer.keys():
        raise ValueError(f"{answer!r}")
    fields = cast("dict[str, object]", answer)
    return fields["present"] is True, fields["enabled"] is True
