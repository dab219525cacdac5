"""A run that knows every kind of event, to be spoilt in every way."""

import hashlib
import json
from pathlib import Path
from typing import Any

from kvmwizard.plan.changes import FileWritten, GroupCreated, PackagesAdded
from kvmwizard.plan.model import (
    FileAbsent,
    FileHolds,
    GroupExists,
    Plan,
    RemoveFile,
    RunCommand,
    Step,
    WriteFile,
    canonical_json,
)
from kvmwizard.plan.observed import ObservedFile, ObservedGroup
from kvmwizard.run.journal import Journal
from kvmwizard.run.liveness import LOCK_NAME, LockRecord, boot_id, this_process
from kvmwizard.run.model import (
    RootNeeded,
    RunEnded,
    RunnerStarted,
    RunStopped,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepStopped,
)
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say, say_many

MODULE_LIST = "/etc/modules-load.d/kvmwizard.conf"
PROGRESS = tuple(
    {
        "time": float(done),
        "words": {"template": "{number} files", "places": {"number": done}},
        "done": done,
        "total": 9,
        "unit": "steps",
    }
    for done in (3, 6)
)


def a_step(step_id: str, condition: Any, action: Any, **more: Any) -> Step:
    title = say("Step {name}", name=step_id)
    return Step(id=step_id, title=title, conditions=(condition,), actions=(action,), seconds=1, **more)


def a_plan(folder: Path) -> Plan:
    """Harmless as it is never carried out."""
    holds = FileHolds(path=MODULE_LIST, text="kvm\n", mode=0o644)
    gone, kept = str(folder / "gone"), str(folder / "kept")
    remove = RunCommand(argv=("/bin/rm", "--", gone), environment={"A": "b"}, locks=("/tmp/lock",))
    return Plan(
        user="alice",
        qemu="/usr/bin/qemu-system-x86_64",
        notes=(say("Know that."),),
        steps=(
            a_step("modules.list", holds, WriteFile(path=MODULE_LIST, text="kvm\n", mode=0o644), root=True),
            a_step(
                "group.make",
                GroupExists(group="kvm"),
                RunCommand(argv=("/usr/sbin/groupadd", "kvm")),
                root=True,
                needs=("modules.list",),
                required=False,
            ),
            a_step("file.gone", FileAbsent(path=gone), remove, root=False, uses=("network",)),
            a_step(
                "file.kept", FileAbsent(path=kept), RemoveFile(path=kept), root=True, lasting=say("It lasts.")
            ),
        ),
    )


def make_run(state: Path) -> tuple[RunStore, str]:
    """The run, chosen by a session; its journal ends in a failure."""
    store = RunStore(state)
    plan = a_plan(state)
    run_id = store.create(plan)
    directory = store.directory(run_id)
    absent, no_group = ObservedFile(exists=False), ObservedGroup(exists=False)
    written = FileWritten(path=MODULE_LIST, previous_text=None, previous_mode=None)
    added = PackagesAdded(manager="apt", names=("qemu-utils",))
    with Journal(journal_path(directory)) as journal:
        for event in (
            RunnerStarted(time=2, pid=1, process_start=7, boot_id=boot_id()),
            StepStarted(time=3, step="modules.list", attempt=1, before=(absent.model_dump_json(),)),
            StepDone(
                time=4,
                step="modules.list",
                evidence=say("{path} says so", path=MODULE_LIST),
                changes=(written.model_dump_json(), added.model_dump_json()),
            ),
            StepStarted(time=5, step="group.make", attempt=1, before=(no_group.model_dump_json(),)),
            StepFailed(
                time=6,
                step="group.make",
                returncode=9,
                message=say_many("{count} line", "{count} lines", 3, further=say("more")),
                changes=(GroupCreated(group="kvm").model_dump_json(),),
            ),
            StepSkipped(time=7, step="file.gone", evidence=say("gone"), payload_digest="0" * 64),
            RunStopped(time=8),
            RunnerStarted(time=9, pid=2, process_start=8, boot_id=boot_id(), retry=True, cut_bytes=3),
            RootNeeded(time=10),
            StepStarted(time=11, step="file.kept", attempt=2, before=(absent.model_dump_json(),)),
            StepStopped(time=11, step="file.kept", changes=(written.model_dump_json(),)),
            RunEnded(time=12, good=False),
        ):
            journal.append(event)
    record = LockRecord(holder=this_process(), problem=say("The runner had to go: {why}.", why="no room"))
    (directory / LOCK_NAME).write_text(record.model_dump_json(), encoding="ascii")
    (directory / "logs" / "group.make.log").write_text("groupadd: failed\n", encoding="ascii")
    progress = "".join(json.dumps(line) + "\n" for line in PROGRESS)
    (directory / "progress" / "file.gone").write_text(progress, encoding="ascii")
    for file in directory.rglob("*"):
        if file.is_file():
            file.chmod(0o600)
    SessionStore(state).save(Session(run_id=run_id, page="run"))
    return store, run_id


def agree_to(directory: Path, plan: bytes) -> None:
    """Put another plan into the run, and its digest into the journal, as only the user could."""
    path = journal_path(directory)
    (directory / "plan.json").write_bytes(plan)
    first, rest = path.read_bytes().split(b"\n", 1)
    began = {**json.loads(first), "digest": hashlib.sha256(plan).hexdigest()}
    path.write_bytes(json.dumps(began).encode() + b"\n" + rest)


def plan_document(folder: Path) -> Any:
    """The plan as JSON has it."""
    return json.loads(canonical_json(a_plan(folder)))
