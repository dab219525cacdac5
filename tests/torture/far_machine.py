"""A machine that is reached over SSH: a real sshd on a loopback of its own, and ways to cut it off."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.wizard import KVMWIZARD
from tests.machine.layers import APT_SECONDS, CHECKOUT, PROGRAM_PYTHON, Layer, base_layer, prepared_layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

SERVER_PACKAGES = ("openssh-server", "nftables", "iproute2")
WAIT_SECONDS = 120.0
STATE = "/home/alice/.local/state/kvmwizard"
ALIVE_SECONDS = 1
ALIVE_TIMES = 3
"""After so many silent seconds, so many times, either side gives the connection up."""

SERVER_SETTINGS = f"""\
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM yes
PasswordAuthentication no
PrintMotd no
AcceptEnv LANG
ClientAliveInterval {ALIVE_SECONDS}
ClientAliveCountMax {ALIVE_TIMES}
"""
CLIENT_SETTINGS = f"""\
Host far
  HostName 127.0.0.1
  User alice
  SendEnv LANG
  StrictHostKeyChecking no
  LogLevel ERROR
  ServerAliveInterval {ALIVE_SECONDS}
  ServerAliveCountMax {ALIVE_TIMES}
"""
SILENCE = """\
table inet {name} {{
  chain input {{
    type filter hook input priority 0; policy accept; tcp dport {port} drop; tcp sport {port} drop;
  }}
}}
"""
SAVE_SESSION = f"""
import json, sys
from pathlib import Path
from kvmwizard.session import Session, SessionStore
answers, page = json.load(sys.stdin)
store = SessionStore(Path("{STATE}"))
store.save(Session.model_validate({{"answers": answers, "page": page}}, strict=False))
"""


def server_layer() -> Layer:
    """The base with an SSH server, which the machine's own network reaches, and a firewall."""

    def install(machine: ThrowawayMachine) -> None:
        command = ["apt-get", "-q", "-y", "install", "--no-install-recommends", *SERVER_PACKAGES]
        machine.do(command, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=APT_SECONDS)

    return prepared_layer("server", install, ["\n".join(SERVER_PACKAGES).encode()], base_layer())


def save_session(machine: ThrowawayMachine, answers: Mapping[str, Any], page: str = "welcome") -> None:
    """Answers as alice's wizard would have saved them."""
    said = json.dumps([answers, page])
    result = machine.run([PROGRAM_PYTHON, "-c", SAVE_SESSION], user="alice", input=said)
    assert result.returncode == 0, result.stderr


def lists_are_fresh(machine: ThrowawayMachine) -> None:
    """The package lists are as fresh as the layer, and without a network cannot be renewed."""
    machine.do(["touch", "/var/lib/apt/periodic/update-success-stamp"])


def wait_until(holds: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> float:
    """Wait until it holds, and return how many seconds that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"{what}: not in {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass(frozen=True)
class Sanity:
    """What a program can leave behind on a terminal: its settings, and what it shows."""

    settings: str
    """As `stty -g` has them."""
    alternate_screen: bool
    mouse: bool
    cursor: bool


class FarMachine:
    """alice works on it over SSH, from bob's terminals on the near side."""

    def __init__(self, machine: ThrowawayMachine) -> None:
        """Start the server, and let bob's key in."""
        self.machine = machine
        self._vanished: set[int] = set()
        machine.do(["ip", "link", "set", "lo", "up"])
        lists_are_fresh(machine)
        machine.do(["mkdir", "-p", "/run/sshd"])
        machine.path("/etc/ssh/far_config").write_text(SERVER_SETTINGS, encoding="ascii")
        self._server = machine.popen(["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/far_config"])
        self.as_bob("mkdir -p -m 700 .ssh; ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519")
        key = machine.path("/home/bob/.ssh/id_ed25519.pub").read_text(encoding="ascii")
        self.as_bob("cat > .ssh/config", CLIENT_SETTINGS)
        into = ["sh", "-c", "umask 077; mkdir -p .ssh; cat > .ssh/authorized_keys"]
        assert machine.run(into, user="alice", input=key).returncode == 0
        wait_until(lambda: self.far("true").returncode == 0, "the server answers")

    def as_bob(self, script: str, said: str | None = None) -> str:
        """A shell script of bob's, on the near side."""
        result = self.machine.run(["sh", "-c", script], user="bob", input=said)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def far(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """A command on the far side, over a connection and a login of its own."""
        return self.machine.run(["ssh", "-T", "far", *argv], user="bob")

    def far_bytes(self, *argv: str) -> bytes:
        """What a command on the far side prints, byte for byte."""
        command = self.machine.command(["ssh", "-T", "far", *argv], user="bob")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def near_terminal(self, size: tuple[int, int] = (80, 24)) -> Terminal:
        """A terminal of bob's with a shell."""
        terminal = Terminal.open(self.machine, ["/bin/bash", "--norc"], user="bob", size=size)
        terminal.wait_for("$")
        return terminal

    def open_wizard(self, terminal: Terminal) -> None:
        """From bob's shell, log in anew and open alice's wizard."""
        terminal.type(f"clear; ssh -tt far {KVMWIZARD}")
        terminal.press("Enter")

    def sanity(self, terminal: Terminal) -> Sanity:
        """How the near terminal stands."""
        facts = terminal.ask("#{pane_tty} #{alternate_on} #{mouse_any_flag} #{cursor_flag}").split()
        settings = self.machine.do(["stty", "-g", "-F", facts[0]]).strip()
        return Sanity(settings, facts[1] == "1", facts[2] == "1", facts[3] == "1")

    def processes(self, user: str, pattern: str) -> list[int]:
        """The processes of a user whose command line matches."""
        found = self.machine.run(["pgrep", "-u", user, "-f", pattern]).stdout
        return [int(line) for line in found.split()]

    def wizards(self) -> list[int]:
        """alice's wizards; not what carries a run out."""
        return self.processes("alice", f"{KVMWIZARD}$")

    def signal_wizards(self, name: str) -> None:
        """Send the signal to all of them; a short-lived child of theirs may be gone meanwhile."""
        self.machine.run(["kill", f"-{name}", *map(str, self.wizards())])

    def clients(self) -> list[int]:
        """bob's SSH clients."""
        return self.processes("bob", "^ssh ")

    def sessions(self) -> list[int]:
        """The server's processes for alice's logins, but for those whose near side vanished."""
        return [each for each in self.processes("alice", "^sshd: alice") if each not in self._vanished]

    def hang_up(self) -> None:
        """SIGHUP to alice's runner and to root's helper, of which there is one each."""
        runner = self.processes("alice", "kvmwizard[.]run[.]runner")
        helper = self.processes("root", "python.* -c import sys,hashlib")
        assert (len(runner), len(helper)) == (1, 1)
        self.machine.do(["kill", "-HUP", *map(str, (*runner, *helper))])

    # Ways to cut a connection.

    def reset(self) -> None:
        """Both ends are told that there is no connection."""
        self.machine.do(["ss", "--kill", "dport = :22"])

    def silence(self) -> None:
        """No packet passes any more, and nobody is told, until both sides have given up."""
        self.machine.do(["nft", "-f", "-"], input=SILENCE.format(name="silence", port=22))
        try:
            wait_until(lambda: not self.sessions() and not self.clients(), "both sides give up")
        finally:
            self.machine.do(["nft", "delete", "table", "inet", "silence"])

    def vanish(self) -> None:
        """The near side is gone for good, and the far side, which goes on sending, misses nothing yet.

        sshd counts unanswered questions only in seconds in which it has nothing to do: while a wizard
        shows a run, it lives on until TCP gives up, a quarter of an hour later.
        """
        connections = self.machine.do(["ss", "-Htn", "state", "established", "dport = :22"])
        for line in connections.splitlines():
            port = line.split()[2].rpartition(":")[2]
            self.machine.do(["nft", "-f", "-"], input=SILENCE.format(name="vanished", port=port))
        wait_until(lambda: not self.clients(), "the near side gives up")
        self._vanished |= set(self.sessions())

    def kill_client(self) -> None:
        """kill -9 of the SSH client, as when its machine is switched off."""
        self._kill(self.clients())

    def kill_session(self) -> None:
        """kill -9 of the server's process for the login."""
        self._kill(self.sessions())

    def _kill(self, processes: list[int]) -> None:
        self.machine.do(["kill", "-9", *map(str, processes)])

    @property
    def cuts(self) -> dict[str, Callable[[], None]]:
        """Every way, by its name."""
        return {
            "reset": self.reset,
            "silence": self.silence,
            "client killed": self.kill_client,
            "session killed": self.kill_session,
        }

    def cut(self, way: str) -> float:
        """Cut every connection so, and return after how many seconds no wizard was left."""
        began = time.monotonic()
        self.cuts[way]()
        wait_until(lambda: not self.wizards() and not self.sessions(), f"{way}: no wizard is left")
        return time.monotonic() - began


@contextmanager
def far_machine(program: Layer) -> Iterator[FarMachine]:
    """A machine on the program's layer, without any network but its own loopback."""
    stack = (server_layer().directory, *program.stack)
    with ThrowawayMachine.start(stack, network=False, hostname="far") as machine:
        yield FarMachine(machine)


@contextmanager
def mirror_of(machine: ThrowawayMachine, version: str, tree: Path) -> Iterator[dict[str, str]]:
    """A mirror with this kernel on the machine's loopback; its addresses and, in the machine, its key."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        namespace = machine.path("/").parent / "ns/net"
        argv = ["nsenter", f"--net={namespace}", "--", sys.executable, "-m", "tests.mirror", folder]
        serving = stack.enter_context(
            subprocess.Popen(
                [*argv, "--kernel", f"{version}={tree}"], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
            )
        )
        stack.callback(serving.terminate)
        assert serving.stdout is not None
        said = json.loads(serving.stdout.readline())
        machine.path("/srv/key.asc").write_bytes(Path(said["key"]).read_bytes())
        yield {**said, "key": "/srv/key.asc"}
