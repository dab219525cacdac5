"""Programs in QEMU's place, where no real QEMU does what a test needs: they replay what real ones printed."""

import shlex
import sys
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"

BOOTS = "printf 'kvmwizard: a guest has booted\\r\\n'; exit 33"
LACKS_DEVICES = """\
case "$*" in
*isa-debug-exit*)
    echo "qemu-kvm: -device isa-debug-exit: 'isa-debug-exit' is not a valid device model name" >&2
    exit 1 ;;
esac
printf 'kvmwizard: a guest has booted\\r\\n'
"""
STOPPED_BY_KVM = f"cat '{RECORDED}/kvm-internal-error.txt' >&2; exec sleep 600"
HANGS = "exec sleep 600"

QMP_GREETING = (
    '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7},'
    ' "package": "Debian 1:7.2+dfsg-7+deb12u18+b3"}, "capabilities": ["oob"]}}'
)
QMP_SERVER = """\
import json, socket, sys
answer = {answer}
connection = socket.socket(socket.AF_UNIX)
connection.connect("qmp")
def send(text):
    connection.sendall(text.encode() + b"\\r\\n")
send({greeting!r})
# One request comes after another's answer, and none ends with a line break.
while request := connection.recv(65536):
    asked = json.loads(request)
    if asked["execute"] == "qmp_capabilities":
        send(json.dumps({{"return": {{}}}}))
    elif answer is None:
        sys.exit(0)
    else:
        send(json.dumps({{**answer, "id": asked["id"]}}))
"""


def shell_emulator(folder: Path, script: str) -> str:
    """A program in QEMU's place that does what the script says, whatever its arguments."""
    path = folder / "qemu-system-x86_64"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def qmp_emulator(folder: Path, answer: dict[str, object] | None) -> str:
    """A program in QEMU's place that answers `query-kvm` so; it hangs up on None."""
    server = QMP_SERVER.format(answer=answer, greeting=QMP_GREETING)
    return shell_emulator(folder, f"exec {shlex.quote(sys.executable)} -ISc {shlex.quote(server)}")
