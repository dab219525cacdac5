"""The saved answers and the journal, struck at every write, fsync and rename, one after another."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from kvmwizard.plan.model import Plan
from kvmwizard.run.journal import create_journal, read_journal
from kvmwizard.run.model import RunBegan, RunState, RunStatus, StepSkipped, StepStatus
from kvmwizard.run.store import RunStore
from kvmwizard.session import SessionStore
from tests.conftest import Counts
from tests.run.plans import plan_of, removing_step, starts
from tests.torture.faults import NO_FAULT, Fault
from tests.torture.striking import Answer, Battery, Driver

TWICE = (("kill", False), ("EIO", False), ("ENOSPC", True))


def names(folder: Path) -> list[str]:
    """Everything below it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Answering:
    """A new user answers page after page."""

    PAGES = ("welcome", "hardware", "kernel", "qemu", "kernel_build", "qemu_build", "access")
    A_TRY = 3

    def __init__(self, strikes: Driver, folder: Path) -> None:
        self._strikes, self._state = strikes, folder / "state"
        self._tries = 0

    def reset(self) -> None:
        shutil.rmtree(self._state, ignore_errors=True)
        self._tries = 0

    def strike(self, fault: Fault) -> Answer:
        first = 1 + self._tries * self.A_TRY
        self._tries += 1
        pages = self.PAGES[first : first + self.A_TRY]
        return self._strikes.ask("save", fault, [self._state], state=str(self._state), pages=pages)

    def look(self, answers: Sequence[Answer]) -> str:
        loaded = SessionStore(self._state).load()
        acknowledged = ["welcome", *(page for answer in answers for page in answer.told("saved"))][-1]
        found, promised = self.PAGES.index(loaded.session.page), self.PAGES.index(acknowledged)
        if loaded.notice is not None or found < promised:
            return f"lost: {acknowledged} was acknowledged, and {loaded} is there"
        return "new" if found > promised else "old"

    def finish(self) -> str:
        asked = {"state": str(self._state), "pages": ["review"]}
        answer = self._strikes.ask("save", NO_FAULT, [self._state], **asked)
        page, there = SessionStore(self._state).load().session.page, names(self._state)
        modes = {path.stat().st_mode & 0o777 for path in (self._state, *self._state.iterdir())}
        good = answer.told("saved") == ["review"] and page == "review" and modes == {0o700, 0o600}
        return "" if good and there == ["session.json", "session.lock"] else f"{answer.said}, {page}, {there}"


class Journaling:
    """A journal takes event after event."""

    A_TRY = 4

    def __init__(self, strikes: Driver, folder: Path) -> None:
        self._strikes, self._path = strikes, folder / "journal" / "journal.jsonl"
        self._tries = 0

    def reset(self) -> None:
        shutil.rmtree(self._path.parent, ignore_errors=True)
        self._path.parent.mkdir()
        create_journal(self._path, RunBegan(time=1, digest="d", boot_id="b"))
        with self._path.open("ab") as file:
            file.write(b'{"time":2,"ev')
        self._tries = 0

    def strike(self, fault: Fault) -> Answer:
        first = 1 + self._tries * self.A_TRY
        self._tries += 1
        return self._append(fault, list(range(first, first + self.A_TRY)))

    def look(self, answers: Sequence[Answer]) -> str:
        promised = [number for answer in answers for number in answer.told("appended")]
        there = self._numbers()
        # One event of each try may stand there that was on its way when the fault came.
        unpromised = [number for number in there if number not in promised]
        if [number for number in there if number in promised] != promised or len(unpromised) > len(answers):
            return f"lost: {promised} were acknowledged, and {there} are there"
        return "new" if unpromised else "old"

    def finish(self) -> str:
        before = self._numbers()
        answer = self._append(NO_FAULT, [99])
        there = names(self._path.parent)
        good = self._numbers() == [*before, 99] and read_journal(self._path).torn == b""
        good = good and there == ["journal.jsonl", "journal.torn"]
        return "" if good else f"{answer.said}, {self._numbers()}, {there}"

    def _append(self, fault: Fault, numbers: list[int]) -> Answer:
        below = [self._path.parent]
        return self._strikes.ask("journal", fault, below, path=str(self._path), numbers=numbers)

    def _numbers(self) -> list[int]:
        events = read_journal(self._path).events[1:]
        return [int(event.time) for event in events if isinstance(event, StepSkipped)]


class Beginning:
    """A plan is agreed to: a run is made, and its number kept with the answers."""

    def __init__(self, strikes: Driver, folder: Path) -> None:
        self._strikes, self._state = strikes, folder / "state"
        self._plan = plan_of(removing_step(folder / "gone"))

    def reset(self) -> None:
        shutil.rmtree(self._state, ignore_errors=True)

    def strike(self, fault: Fault) -> Answer:
        asked = {"state": str(self._state), "plan": self._plan.model_dump(mode="json")}
        return self._strikes.ask("begin", fault, [self._state], **asked)

    def look(self, answers: Sequence[Answer]) -> str:
        run_id = SessionStore(self._state).load().session.run_id
        promised = [run_id for answer in answers for run_id in answer.told("saved")]
        if promised and (run_id is None or run_id < promised[-1]):
            return f"lost: {promised} was acknowledged, and {run_id} is there"
        store = RunStore(self._state)
        # Whatever run is there at all can be read, and that of the session is.
        whole = all(store.read(each).plan == self._plan for each in store.runs())
        if not whole or run_id not in {None, *store.runs()}:
            return f"lost: the session names {run_id} of {store.runs()}"
        return "new" if run_id is not None else "old"

    def finish(self) -> str:
        answer = self.strike(NO_FAULT)
        state = self.look([answer])
        return "" if state == "new" and answer.told("saved") else f"{answer.said}, {state}"


class Running:
    """A runner takes four steps through, two of which can be at work at the same time."""

    def __init__(self, strikes: Driver, folder: Path) -> None:
        self._strikes, self._state, self._template = strikes, folder / "state", folder / "template"
        self._work = folder / "work"
        self._paths = [self._work / name for name in ("first", "second", "third", "fourth")]
        self._run_id = RunStore(self._template).create(self._plan())
        self.begun_again = self.done_twice = 0

    def _plan(self) -> Plan:
        first, second, third, fourth = self._paths
        # A second time, `rm` would not find its file: a step done twice would fail.
        steps = [removing_step(first), removing_step(second, needs=("first",)), removing_step(third)]
        return plan_of(
            *steps, removing_step(fourth, needs=("second", "third")), removing_step(self._work / "gone")
        )

    def reset(self) -> None:
        for each in (self._state, self._work):
            shutil.rmtree(each, ignore_errors=True)
        shutil.copytree(self._template, self._state)
        self._work.mkdir()
        for path in self._paths:
            path.write_text("here\n", encoding="ascii")

    def strike(self, fault: Fault) -> Answer:
        return self._run(fault, retry=False)

    def look(self, answers: Sequence[Answer]) -> str:
        state = self._read()
        # Nothing is called done that is not, and a runner that was killed leaves no step without its trace.
        lies = [path.name for path in self._paths if self._is_done(state, path) and path.exists()]
        untold = [path.name for path in self._paths if starts(path) and state.steps[path.name].attempts == 0]
        silent = any(answer.status == 0 and not answer.told("answered") for answer in answers)
        if lies or untold or silent:
            return f"lost: {lies} are not done, {untold} were begun without a word, {answers}"
        return "new" if state.status is RunStatus.DONE else "old"

    def finish(self) -> str:
        for retry in (False, True, True):
            state = self._read()
            if state.status is RunStatus.DONE:
                break
            self._run(NO_FAULT, retry=retry)
        state = self._read()
        left = [path.name for path in self._paths if path.exists()]
        self.begun_again += sum(starts(path) > 1 for path in self._paths)
        logs = (path.read_text(encoding="utf-8") for path in self._state.rglob("*.log"))
        self.done_twice += sum("cannot remove" in log for log in logs)
        return (
            "" if state.status is RunStatus.DONE and not left else f"{state.status}, {left}, {state.notice}"
        )

    def _is_done(self, state: RunState, path: Path) -> bool:
        return state.steps[path.name].status in {StepStatus.DONE, StepStatus.SKIPPED}

    def _read(self) -> RunState:
        return RunStore(self._state).read(self._run_id)

    def _run(self, fault: Fault, *, retry: bool) -> Answer:
        asked = {"state": str(self._state), "run": self._run_id, "retry": retry}
        return self._strikes.ask("run", fault, [self._state], **asked)


def test_no_answer_is_lost_whatever_befalls_its_saving(
    strikes: Driver, folder: Path, battery: Battery
) -> None:
    subject = Answering(strikes, folder)
    amiss = battery.amiss(subject, "while answers are saved", TWICE, short=(5, 7), full=(1, 2))
    assert amiss == []


def test_no_event_is_lost_whatever_befalls_the_journal(
    strikes: Driver, folder: Path, battery: Battery
) -> None:
    subject = Journaling(strikes, folder)
    amiss = battery.amiss(subject, "while events are journaled", TWICE, short=(5, 7), full=(1, 2))
    assert amiss == []


def test_a_run_that_was_begun_can_be_read_or_is_not_there(
    strikes: Driver, folder: Path, battery: Battery
) -> None:
    subject = Beginning(strikes, folder)
    amiss = battery.amiss(subject, "while a run is made", TWICE, short=(13, 29), full=(1, 3))
    assert amiss == []


def test_a_run_ends_the_same_whatever_befalls_its_runner(
    strikes: Driver, folder: Path, battery: Battery, counts: Counts
) -> None:
    subject = Running(strikes, folder)
    amiss = battery.amiss(subject, "of a runner", TWICE, short=(47, 47), full=(1, 9))
    counts("steps of runners with faults", begun_again=subject.begun_again, done_twice=subject.done_twice)
    assert amiss == []
    assert subject.done_twice == 0
