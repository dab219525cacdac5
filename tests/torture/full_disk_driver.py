"""Fills disks of its own, in its private mount namespace, while the product writes to them.

full_disk_driver.py SUBJECT SETTINGS
    SETTINGS is JSON: `folder`, an empty one; `megabytes`, the disk's; the subject's own.
    Prints what happened, as JSON: `said`, each sentence that a person got, and `amiss`.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kvmwizard.fetch.client import prepare
from kvmwizard.fetch.download import Download
from kvmwizard.fetch.unpack import unpack
from kvmwizard.fetch.wishes import download_wish, unpack_wish
from kvmwizard.job import Progress, become
from kvmwizard.product import read_stamp
from kvmwizard.refusal import Refusal
from kvmwizard.run.launch import start_runner
from kvmwizard.run.liveness import living_runner
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from tests.fetch.downloads import SHORT
from tests.run.plans import files, plan_of, removing_step

BLOCK = 4096
"""What tmpfs gives away at once (a page)."""
WAIT_SECONDS = 120.0
PAGES = ("hardware", "kernel", "qemu", "access", "review")

Json = dict[str, Any]


class Found:
    """What happened."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.amiss: list[str] = []

    def refuses(self, work: Callable[[], object]) -> bool:
        """Whether it was refused, in words that are kept."""
        try:
            work()
        except Refusal as refused:
            self.said.append(refused.words.english)
            return True
        return False

    def expect(self, good: bool, what: str) -> None:
        """Note what is not as it must be."""
        if not good:
            self.amiss.append(what)


@contextlib.contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A new file system of that size."""
    folder.mkdir(exist_ok=True)
    options = f"size={megabytes}m,mode=0755"
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path) -> None:
    """Make room."""
    subprocess.run(["/usr/bin/mount", "-o", "remount,size=64m", str(folder)], check=True)


def fill(folder: Path, but: int) -> Path:
    """Fill the disk to the last block but so many."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(BLOCK)) == BLOCK:
            pass
    os.truncate(filler, max(0, filler.stat().st_size - but * BLOCK))
    return filler


def answers(found: Found, settings: Json) -> None:
    """Answers are saved while blocks get free one by one."""
    with disk(Path(settings["folder"]), settings["megabytes"]) as place:
        store = SessionStore(place / "state")
        store.lock()
        store.save(Session(page="welcome"))
        known = "welcome"
        for free, page in enumerate(PAGES):
            filler = fill(place, free)
            if not found.refuses(lambda: store.save(Session(page=page))):  # noqa: B023  -- called at once
                known = page
            there = SessionStore(place / "state").load()
            found.expect(there.session.page == known and there.notice is None, f"{free} blocks: {there}")
            filler.unlink()
            store.save(Session(page=page))
            known = page
            found.expect(store.load().session.page == page, f"{free} blocks, then room: {store.load()}")
        names = sorted(path.name for path in (place / "state").iterdir())
        found.expect(names == ["session.json", "session.lock"], f"left: {names}")


def run(found: Found, settings: Json) -> None:
    """A run is carried out on a full disk, and goes on when there is room."""
    with disk(Path(settings["folder"]), settings["megabytes"]) as place:
        work = Path(settings["work"])
        work.mkdir()
        wanted = files(work, "first", "second", "third")
        first, second, third = wanted
        # Half a minute of a compiler's output, which fills what is left.
        talkative = "yes 'CC a.o' | head -c 9000"
        plan = plan_of(
            removing_step(first),
            removing_step(second, script=talkative, needs=("first",)),
            removing_step(third, needs=("second",)),
        )
        store = RunStore(place / "state")
        run_id = store.create(plan)
        filler = fill(place, settings["free"])
        found.refuses(lambda: start_runner(store, run_id))
        state = _ended(store, run_id)
        told = [state.notice, *(step.words for step in state.steps.values() if step.status == "failed")]
        found.said.extend(words.english for words in told if words is not None)
        if state.status is not RunStatus.DONE:
            found.expect(bool(found.said), f"nothing was said of {state.status}")
        filler.unlink()
        for _ in range(2):
            if state.status is not RunStatus.DONE:
                start_runner(store, run_id, retry=True)
                state = _ended(store, run_id)
        left = [path.name for path in wanted if path.exists()]
        found.expect(state.status is RunStatus.DONE and not left, f"{state.status}, {left}, {state.notice}")


def _ended(store: RunStore, run_id: str) -> RunState:
    deadline = time.monotonic() + WAIT_SECONDS
    while living_runner(store.directory(run_id)) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return store.read(run_id)


def sources(found: Found, settings: Json) -> None:
    """A file is downloaded and unpacked where it does not fit, and then where it does."""
    prepare()
    with disk(Path(settings["folder"]), settings["megabytes"]) as place:
        os.chown(place, settings["builder"], settings["builder"])
        for action, work in ((settings["download"], _download), (settings["unpack"], _unpack)):
            child_said = _as_builder(settings["builder"], lambda: work(action))  # noqa: B023  -- called at once
            if child_said:
                found.said.append(child_said)
                found.expect(
                    read_stamp(Path(action["stamp"])) is None, "a stamp vouches for what is not there"
                )
                enlarge(place)
                again = _as_builder(settings["builder"], lambda: work(action))  # noqa: B023  -- as above
                found.expect(not again, f"with room: {again}")
            stamp = read_stamp(Path(action["stamp"]))
            found.expect(stamp is not None and stamp.whole, f"{action['stamp']} is not there")
        names = sorted(path.name for path in place.iterdir())
        found.expect(
            not [name for name in names if "unfinished" in name or ".part" in name], f"left: {names}"
        )


def _as_builder(builder: int, work: Callable[[], None]) -> str:
    """Why the builder could not do it; empty where it is done."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.umask(0o077)
        become(builder, builder)
        try:
            work()
        except Refusal as refused:
            os.write(writing, refused.words.english.encode())
        except OSError as error:
            os.write(writing, f"not in words: {error}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    return text


def _download(action: Json) -> None:
    Download(download_wish(action), Progress(os.open(os.devnull, os.O_WRONLY)), SHORT).run()


def _unpack(action: Json) -> None:
    unpack(unpack_wish(action), Progress(os.open(os.devnull, os.O_WRONLY)))


def main() -> None:
    """See the module."""
    subject, settings = sys.argv[1:]
    found = Found()
    {"answers": answers, "run": run, "sources": sources}[subject](found, json.loads(settings))
    sys.stdout.write(json.dumps(vars(found)))


if __name__ == "__main__":
    main()
