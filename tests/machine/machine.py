"""A throwaway machine: the live Debian below an overlay, in namespaces of its own.

What is done in it (packages, users, files, device modes, kill -9) is gone when it is
dropped. It shares the live kernel, so loading modules, setting the clock and rebooting
are taken away from everybody in it.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.machine.scratch import MachineFolder, scratch_folder

HOLDER = Path(__file__).with_name("holder.py")
START_SECONDS = 30
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEVICES = {"kvm": 0o600, "net/tun": 0o666, "vhost-net": 0o600}
"""Nodes that a machine gets where the live one has them, with their first mode, owned by root."""

CAPABILITIES_TAKEN = "-sys_module,-sys_boot,-sys_time"


class MachineError(Exception):
    """A throwaway machine could not be made."""


def why_no_machine() -> str | None:
    """Why no throwaway machine can be made here, or None where one can."""
    if os.geteuid() != 0:
        return "throwaway machines need root (run the tests as root)"
    if not Path("/etc/debian_version").is_file():
        return "throwaway machines are made from the live root file system, which must be Debian's kind"
    if scratch_folder() is None:
        return "throwaway machines need overlayfs and mount namespaces, which this machine refuses"
    return None


class ThrowawayMachine:
    """A running machine. `with ThrowawayMachine.start() as machine:` drops it at the end."""

    def __init__(self, folder: MachineFolder, holder: "subprocess.Popen[bytes]", first: int) -> None:
        self.folder = folder
        self._holder = holder
        self._first = first

    @classmethod
    def start(cls, layers: Sequence[Path] = (), *, network: bool = True, hostname: str = "debian") -> Self:
        """A new machine on the layers (topmost first) on the live root file system.

        Without `network` it has a loopback device alone, which is down.

        Raises:
            MachineError: with why it could not be made.
        """
        scratch = scratch_folder()
        if scratch is None:
            raise MachineError(why_no_machine())
        folder = MachineFolder(scratch)
        settings = {
            "root": str(folder.path / "root"),
            "layers": [str(layer) for layer in layers],
            "upper": str(folder.path / "upper"),
            "work": str(folder.path / "work"),
            "hostname": hostname,
            "devices": DEVICES,
        }
        holder = subprocess.Popen(
            _holder_command(network=network),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _tell(holder, settings)
            return cls(folder, holder, _only_child(holder.pid))
        except BaseException:
            _end(holder)
            folder.remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def stop(self) -> None:
        """Kill everything in the machine, and keep what it wrote."""
        if self._holder.returncode is None:
            _end(self._holder)

    def drop(self) -> None:
        """Kill everything in the machine and delete what it wrote; once is enough, twice does no harm."""
        self.stop()
        self.folder.remove()

    def path(self, inside: str) -> Path:
        """A path of the machine as seen from outside; follow no absolute links on it."""
        return Path(f"/proc/{self._first}/root", inside.lstrip("/"))

    def namespace(self, kind: str) -> Path:
        """What the machine's namespace of this kind (namespaces(7)) is called, as `pid:[4026532190]`."""
        return Path(f"/proc/{self._first}/ns", kind).readlink()

    def command(
        self, argv: Sequence[str], *, user: str = "root", env: Mapping[str, str] | None = None
    ) -> list[str]:
        """The argv that runs `argv` in the machine as a new login of `user`, with the groups of this moment.

        It starts in their home, in the environment of a login and `env`, nothing else.
        """
        home = "/root" if user == "root" else f"/home/{user}"
        variables = {
            "HOME": home,
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            "PATH": SYSTEM_PATH,
            "LANG": "C.UTF-8",
            **(env or {}),
        }
        return [
            *("nsenter", "--target", str(self._first), "--mount", "--pid", "--uts", "--ipc", "--net"),
            *("/usr/bin/env", "-i", f"--chdir={home}"),
            *(f"{name}={value}" for name, value in variables.items()),
            *("/usr/bin/setpriv", f"--reuid={user}", f"--regid={_group_of(user)}"),
            *("--init-groups", f"--bounding-set={CAPABILITIES_TAKEN}", "--", *argv),
        ]

    def popen(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> "subprocess.Popen[str]":
        """Start a command in the machine, its output on pipes; it leads a session of its own."""
        return subprocess.Popen(
            self.command(argv, user=user, env=env),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002  -- subprocess.run's own name for it
        timeout: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the machine to its end, as subprocess.run with text pipes.

        Raises:
            subprocess.TimeoutExpired: after `timeout` seconds; the command is killed.
        """
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        # What it leaves behind may keep its pipes open: they are closed, not read to their end.
        with self.popen(argv, user=user, env=env, stdin=stdin) as process:
            try:
                stdout, stderr = process.communicate(input, timeout=timeout)
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)

    def do(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002  -- subprocess.run's own name for it
        timeout: float = 60,
    ) -> str:
        """Run a command as root that must succeed, and return its standard output.

        Raises:
            MachineError: it did not return 0; with all that it wrote.
        """
        result = self.run(argv, env=env, input=input, timeout=timeout)
        if result.returncode != 0:
            raise MachineError(f"{argv} returned {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def add_tree(self, source: Path, destination: str, *, without: Sequence[str] = ()) -> None:
        """Copy a live folder into the machine, owned by root; `without` are tar's exclude patterns."""
        pack = subprocess.Popen(
            ["/usr/bin/tar", "-C", str(source), *(f"--exclude={name}" for name in without), "-cf", "-", "."],
            stdout=subprocess.PIPE,
        )
        self.do(["mkdir", "-p", destination])
        unpack = self.command(["tar", "-C", destination, "--no-same-owner", "-xf", "-"])
        subprocess.run(unpack, stdin=pack.stdout, check=True)
        if pack.wait() != 0:
            raise MachineError(f"tar could not read {source}")


def _group_of(user: str) -> str:
    """A user's own group bears their name on Debian."""
    return user


def _holder_command(*, network: bool) -> list[str]:
    namespaces = ["--mount", "--pid", "--uts", "--ipc", *([] if network else ["--net"])]
    return ["unshare", *namespaces, "--fork", "--kill-child=SIGKILL", "/usr/bin/python3", "-I", str(HOLDER)]


def _tell(holder: "subprocess.Popen[bytes]", settings: Mapping[str, object]) -> None:
    """Hand the settings over and wait until the machine is ready."""
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    holder.stdin.write(json.dumps(settings).encode() + b"\n")
    holder.stdin.flush()
    if holder.stdout.readline() != b"ready\n":
        raise MachineError(holder.stderr.read().decode(errors="replace"))


def _only_child(parent: int) -> int:
    """The live number of unshare's child, the machine's process 1."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return int(text.split()[0])


def _end(holder: "subprocess.Popen[bytes]") -> None:
    """Close what the holder waits on, and see it end."""
    for stream in (holder.stdin, holder.stdout, holder.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        holder.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
