"""The first process of the guest whose power is cut: does kvmwizard's work, and tells what is done.

Whatever goes over the second serial port was acknowledged before: a session that was
saved, a run that was made, a step that begins because the ones before it were journaled as done.
"""

import hashlib
import json
import os
import subprocess
import sys
import termios
import threading
import time
import traceback
import tty
from pathlib import Path
from typing import Any

from kvmwizard.answers import AccessAnswer, Answers
from kvmwizard.plan.build_model import (
    BootsNext,
    DownloadSource,
    ProductMade,
    PublishedChecksum,
    SetNextBoot,
    UnpackSource,
)
from kvmwizard.plan.model import (
    FileAbsent,
    FileHolds,
    GroupExists,
    Plan,
    RunCommand,
    Step,
    UserInGroup,
    WriteFile,
)
from kvmwizard.run import runner_process
from kvmwizard.run.model import RunStatus, StepDone
from kvmwizard.run.observe import plan_evidence
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say

PORT = "/dev/ttyS1"
DATA = Path("/mnt")
DEVICE = "/dev/vdc"
STATE = DATA / "state"
BUILD_FOLDER = DATA / "build"
KEPT = ("/etc", "/boot", "/var/lib")
"""What root's steps write lies on the disk whose power is cut, above the guest's own files."""
GIVEN = Path("/opt/kvmwizard/given")
TARBALL = "linux-6.1.7.tar.xz"
USER = "alice"
DOWNLOAD_IDENTITY, TREE_IDENTITY = "1" * 64, "2" * 64
FILES = {
    "/etc/modules-load.d/kvmwizard.conf": "kvm\n",
    "/etc/modprobe.d/kvmwizard.conf": "options kvm_amd nested=1\n",
    "/etc/default/grub.d/kvmwizard-boot.cfg": "GRUB_DEFAULT=saved\n",
    "/etc/udev/rules.d/99-kvmwizard.rules": "# nothing\n",
}


class Port:
    """The serial port to whoever cuts the power."""

    def __init__(self) -> None:
        self._descriptor = os.open(PORT, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._descriptor, termios.TCSANOW)

    def say(self, **content: object) -> None:
        """One line, in one piece."""
        os.write(self._descriptor, json.dumps(content).encode("ascii") + b"\n")

    def hear(self) -> dict[str, Any]:
        """The next line."""
        heard = b""
        while not heard.endswith(b"\n"):
            heard += os.read(self._descriptor, 1)
        asked: dict[str, Any] = json.loads(heard)
        return asked


def plan() -> Plan:
    """A download and its unpacking, what GRUB keeps in mind, root's files and a group, in this order."""
    archive, tree = BUILD_FOLDER / "downloads" / TARBALL, BUILD_FOLDER / "linux/source"
    sha256 = (GIVEN / "sha256").read_text(encoding="ascii").strip()
    download = DownloadSource(
        identity=DOWNLOAD_IDENTITY,
        stamp=f"{archive}.stamp",
        project="linux",
        version="6.1.7",
        urls=((GIVEN / TARBALL).as_uri(),),
        path=str(archive),
        proofs=(PublishedChecksum(sha256=sha256),),
    )
    unpack = UnpackSource(identity=TREE_IDENTITY, stamp=f"{tree}.stamp", archive=str(archive), tree=str(tree))
    made = [ProductMade(path=each.stamp, identity=each.identity) for each in (download, unpack)]
    steps = [
        _step("source.download", False, (made[0],), (download,)),
        _step("source.unpack", False, (made[1],), (unpack,)),
    ]
    release = next(Path("/boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    once = SetNextBoot(release=release, otherwise=release)
    steps.append(_step("boot.once", True, (BootsNext(release=release),), (once,)))
    for number, (path, text) in enumerate(FILES.items()):
        settings = {"path": path, "text": text, "mode": 0o644}
        steps.append(
            _step(
                f"file.{number}",
                True,
                (FileHolds.model_validate(settings),),
                (WriteFile.model_validate(settings),),
            )
        )
    steps.append(
        _step(
            "access.group",
            True,
            (GroupExists(group="kvm"), UserInGroup(user=USER, group="kvm")),
            (
                RunCommand(argv=("/usr/sbin/groupadd", "--system", "--force", "kvm")),
                RunCommand(argv=("/usr/bin/gpasswd", "--add", USER, "kvm")),
            ),
        )
    )
    return Plan(user=USER, builder=USER, build_folder=str(BUILD_FOLDER), qemu=None, steps=tuple(_told(steps)))


def _step(step_id: str, root: bool, conditions: tuple[Any, ...], actions: tuple[Any, ...]) -> Step:
    return Step(id=step_id, title=say("a step"), root=root, seconds=1, conditions=conditions, actions=actions)


def _told(steps: list[Step]) -> list[Step]:
    """Each step after the one before it, and before each a step that tells of it."""
    chained: list[Step] = []
    for step in steps:
        flag = DATA / "flags" / step.id
        done = json.dumps({"after": chained[-1].id if chained else ""})
        tell = f"echo '{done}' >{PORT}; rm {flag}; sync {flag.parent}"
        teller = _step(
            f"told.{step.id}",
            False,
            (FileAbsent(path=str(flag)),),
            (RunCommand(argv=("/bin/sh", "-ec", tell)),),
        )
        needs = (chained[-1].id,) if chained else ()
        chained += [
            teller.model_copy(update={"needs": needs}),
            step.model_copy(update={"needs": (teller.id,)}),
        ]
    return chained


def mount() -> None:
    """The disk, and above the guest's own files what was changed there."""
    _run("mount", "-t", "ext4", DEVICE, str(DATA))
    for folder in KEPT:
        upper, work = (DATA / kind / folder[1:].replace("/", "-") for kind in ("upper", "work"))
        for each in (upper, work):
            each.mkdir(parents=True, exist_ok=True)
        _run(
            "mount",
            "-t",
            "overlay",
            "overlay",
            "-o",
            f"lowerdir={folder},upperdir={upper},workdir={work}",
            folder,
        )


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def session(number: int, run_id: str | None) -> Session:
    """The session that was saved as that many."""
    return Session(answers=Answers(access=AccessAnswer(user=f"user{number}")), page="run", run_id=run_id)


def carry_out(store: RunStore, run_id: str) -> None:
    """The runner in a process of its own, as `launch` starts it, without the seconds of a new Python."""
    reading, writing = os.pipe()
    started = os.fork()
    if started == 0:
        os.dup2(writing, sys.stdout.fileno())
        os.close(reading)
        os.close(writing)
        sys.argv = ["runner", str(STATE), run_id]
        code = runner_process.main()
        sys.stdout.flush()
        os._exit(code)
    os.close(writing)
    os.waitpid(started, 0)
    answer = os.read(reading, 4096)
    os.close(reading)
    if b"refused" in answer:
        raise RuntimeError(answer)
    # As the first process, it is whom the runner is left to when its own parents have ended.
    while store.read(run_id).status is RunStatus.RUNNING:
        time.sleep(0.1)


def work(port: Port) -> None:
    """Save sessions without end, and meanwhile make a run and carry it out."""
    for name in ("flags", "build"):
        (DATA / name).mkdir()
    store, sessions = RunStore(STATE), SessionStore(STATE)
    wanted = plan()
    for step in wanted.steps:
        if step.id.startswith("told."):
            (DATA / "flags" / step.id.removeprefix("told.")).touch()
    _run("chown", f"{USER}:{USER}", str(BUILD_FOLDER))
    _run("chmod", "700", str(BUILD_FOLDER))
    os.sync()
    current: list[str | None] = [None]

    def save_without_end() -> None:
        number = 0
        while True:
            number, run_id = number + 1, current[0]
            sessions.save(session(number, run_id))
            port.say(saved=number, run=run_id)

    threading.Thread(target=save_without_end, daemon=True).start()
    run_id = store.create(wanted)
    port.say(created=run_id)
    current[0] = run_id
    carry_out(store, run_id)
    state = store.read(run_id)
    said = {name: step.words.english for name, step in state.steps.items() if step.words is not None}
    port.say(ended=state.status, said=said)


def look(port: Port, go_on: bool) -> None:
    """What is there after the cut; then, where asked to, the run's end."""
    store = RunStore(STATE)
    loaded = SessionStore(STATE).load()
    found: dict[str, object] = {
        "session": loaded.session.answers.access and loaded.session.answers.access.user,
        "session_run": loaded.session.run_id,
        "notice": loaded.notice and loaded.notice.english,
    }
    runs = store.runs()
    found["runs"] = runs
    for run_id in runs:
        found |= judged(store, run_id)
        if go_on:
            carry_out(store, run_id)
            found |= {"finished": store.read(run_id).status, "world": world(), "after": judged(store, run_id)}
    port.say(**found)


def judged(store: RunStore, run_id: str) -> dict[str, object]:
    """What the journal says was done, and what of it is not so."""
    done = [event.step for event in store.events(run_id) if isinstance(event, StepDone)]
    so = plan_evidence(store.plan(run_id))
    state = store.read(run_id)
    return {
        "status": state.status,
        "done": done,
        "not_so": [step for step in done if step not in so],
        "journal_notice": state.notice and state.notice.english,
    }


def world() -> dict[str, object]:
    """What the run brought about."""
    tree = BUILD_FOLDER / "linux/source"
    held = {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }
    groups = [
        line
        for line in Path("/etc/group").read_text(encoding="ascii").splitlines()
        if line.startswith("kvm:")
    ]
    return {
        "tree": held,
        "files": {path: Path(path).read_text(encoding="ascii") for path in FILES},
        "members": [line.rpartition(":")[2] for line in groups],
        "boot": Path("/boot/grub/grubenv").read_text(encoding="ascii"),
    }


def main() -> None:
    """As the guest's first process: mount what programs need, then do what is asked for over the port."""
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):
        _run("mount", "-t", kind, kind, place)
    Path("/run").chmod(0o755)
    os.umask(0o022)
    port = Port()
    port.say(ready=True)
    while True:
        asked = port.hear()
        try:
            mount()
            if asked["do"] == "work":
                work(port)
            else:
                look(port, asked["go_on"])
        except Exception:  # noqa: BLE001  -- the first process must not end, and whoever waits must learn of it
            port.say(failed=traceback.format_exc())


if __name__ == "__main__":
    main()
