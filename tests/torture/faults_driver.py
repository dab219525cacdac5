"""Does what the product does, in processes that the library of `faults.c` strikes.

Reads one request a line from standard input, as JSON: what to do and with what. Each is done in a forked
child, so that a kill costs no new interpreter; what the child says, event by event, and how it ended
come back as one line.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import kvmwizard.job
from kvmwizard.build.payload import write_payload
from kvmwizard.fetch.client import prepare
from kvmwizard.fetch.download import Download
from kvmwizard.fetch.unpack import unpack
from kvmwizard.fetch.wishes import download_wish, unpack_wish
from kvmwizard.job import Progress, become
from kvmwizard.plan.model import Plan
from kvmwizard.product import write_stamp
from kvmwizard.refusal import Refusal
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import StepSkipped
from kvmwizard.run.runner_process import Wanted, serve
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from tests.fetch.downloads import SHORT
from tests.torture.faults import Control, Fault

Json = dict[str, Any]
Tell = Callable[[str, object], None]
"""What happened, and to what."""


def save(asked: Json, tell: Tell) -> None:
    """Answer page after page, each saved before the next."""
    store = SessionStore(Path(asked["state"]))
    _telling(tell, "locked", True, store.lock)
    for page in asked["pages"]:
        _telling(tell, "saved", page, partial(store.save, Session(page=page)))


def begin(asked: Json, tell: Tell) -> None:
    """Make a run, then keep its number with the answers, as `kvmwizard apply` does."""
    state, plan = Path(asked["state"]), Plan.model_validate(asked["plan"])
    made: list[str] = []
    _telling(tell, "made", True, lambda: made.append(RunStore(state).create(plan)))
    for run_id in made:
        _telling(tell, "saved", run_id, partial(SessionStore(state).save, Session(run_id=run_id)))


def journal(asked: Json, tell: Tell) -> None:
    """Append events, each told once it is promised to be there."""
    with Journal(Path(asked["path"])) as opened:
        for number in asked["numbers"]:
            event = StepSkipped(time=number, step=f"s{number}", evidence=say("a step"))
            _telling(tell, "appended", number, partial(opened.append, event))


def run(asked: Json, tell: Tell) -> None:
    """Be the run's runner."""
    reading, writing = os.pipe()
    os.setsid()
    wanted = Wanted(retry=asked["retry"], left_out=None)
    serve(RunStore(Path(asked["state"])), asked["run"], wanted, answer=writing)
    with os.fdopen(reading, "rb") as answer:
        tell("answered", json.loads(answer.read()))


def download(asked: Json, tell: Tell) -> None:
    """Get a file, going on with what is there of it."""
    os.umask(0o077)
    _telling(tell, "done", True, Download(download_wish(asked["action"]), _no_progress(), SHORT).run)


def unpack_tree(asked: Json, tell: Tell) -> None:
    """Unpack as the builder, tar being struck like this process."""
    kvmwizard.job.FIXED_ENVIRONMENT.update(
        {name: os.environ[name] for name in ("LD_PRELOAD", "FAULTS_CONTROL")}
    )
    if os.geteuid() == 0:
        become(asked["builder"], asked["builder"])
    os.umask(0o077)
    _telling(tell, "done", True, lambda: unpack(unpack_wish(asked["action"]), _no_progress()))


def pack(asked: Json, tell: Tell) -> None:
    """Pack a staged tree and vouch for it, as the stage steps end."""
    payload, stamp = Path(asked["payload"]), Path(asked["stamp"])

    def work() -> None:
        packed = write_payload(Path(asked["stage"]), payload)
        write_stamp(stamp, asked["identity"], [payload], {"digest": packed.digest})

    _telling(tell, "done", True, work)


SUBJECTS = {each.__name__: each for each in (save, begin, journal, run, download, unpack_tree, pack)}


def _no_progress() -> Progress:
    return Progress(os.open(os.devnull, os.O_WRONLY))


def _telling(tell: Tell, what: str, subject: object, work: Callable[[], object]) -> None:
    """Tell that it was done, or why not: only these two kinds of ends have words for people."""
    try:
        work()
    except Refusal as refused:
        tell("refused", refused.words.english)
    except OSError as error:
        tell("system", error.errno)
    else:
        tell(what, subject)


def answer(control: Control, request: Json) -> Json:
    """Have a child do it, and say how it went."""
    reading, writing = os.pipe()
    control.arm(Fault(**request["fault"]), request["below"])
    child = os.fork()
    if child == 0:
        os.close(reading)
        # Answers alone go to the driver's output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _be_child(request, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = [json.loads(line) for line in told]
    status = os.waitpid(child, 0)[1]
    counted = control.disarm()
    return {"said": said, "status": os.waitstatus_to_exitcode(status), **vars(counted)}


def _be_child(request: Json, writing: int) -> None:
    status = 1
    try:
        SUBJECTS[request["do"]](
            request, lambda what, subject: _write(writing, json.dumps([what, subject]).encode() + b"\n")
        )
        status = 0
    finally:
        # Whatever went wrong, this must not go on as the driver.
        if status:
            sys.excepthook(*sys.exc_info())
        os._exit(status)


def _write(descriptor: int, content: bytes) -> None:
    os.write(descriptor, content)


def main() -> None:
    """See the module."""
    control = Control(Path(os.environ["FAULTS_CONTROL"]))
    prepare()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(control, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
