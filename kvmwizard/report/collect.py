"""Collects what a report holds, and takes the secrets out; what cannot be had is told instead."""

import json
import os
import platform
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmwizard import __version__
from kvmwizard.checks.judge import judge
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.refusal import Refusal
from kvmwizard.report.common import common_words, shipped_hosts
from kvmwizard.report.machine import secrets_of_machine
from kvmwizard.report.redaction import Redactor
from kvmwizard.report.secret import Kind
from kvmwizard.report.values import rebuilt
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.words import Words, say

MOST_BYTES = 1024 * 1024
"""Of one file, its end: what failed stands there, and a kernel's whole log has hardly more."""
MOST_FAULTS = 3
"""Details of our own faults, the latest."""


@dataclass(frozen=True)
class ReportFile:
    """One file of a report, as it will be packed."""

    name: str
    content: bytes
    taken: Counter[Kind]
    note: Words | None = None
    """As: that only its end is packed."""


@dataclass(frozen=True)
class Missing:
    """What a report should hold and does not."""

    name: str
    why: Words


@dataclass(frozen=True)
class Report:
    """All that will be packed."""

    files: tuple[ReportFile, ...]
    missing: tuple[Missing, ...]
    with_names: bool


@dataclass(frozen=True)
class _Document:
    name: str
    value: Any = None
    lines: tuple[str, ...] | None = None
    """In place of `value`: a journal's lines, or all of a text that is no JSON."""
    note: Words | None = None


_Found = _Document | Missing


def collect(store: RunStore, run_id: str | None = None, *, with_names: bool = False) -> Report:
    """The report on a run, else on the session's, else on the last one.

    Args:
        store: the runs of the state directory.
        run_id: the run, which must exist.
        with_names: leave in what names people and machines.
    """
    wanted = run_id or last_run(store)
    found = [*_of_machine(), *_of_session(store.state_directory), *_of_run(store, wanted)]
    documents = [each for each in found if isinstance(each, _Document)]
    missing = tuple(each for each in found if isinstance(each, Missing))
    redactor = _redactor(documents, missing)
    files = tuple(_packed(document, redactor, with_names=with_names) for document in documents)
    told = tuple(Missing(each.name, _told(each.why, redactor, with_names=with_names)) for each in missing)
    about = ReportFile("about.txt", _about(wanted, files, told).encode(), Counter())
    return Report((about, *files), told, with_names)


def last_run(store: RunStore) -> str | None:
    """The run that the session names, else the last one; None where nothing was ever run."""
    try:
        runs = store.runs()
    except Refusal:
        return None
    session = _read(store.state_directory / "session.json", "answers.json")
    named = session.value.get("run_id") if isinstance(session, _Document) and session.value else None
    return named if named in runs else (runs[-1] if runs else None)


# What there is


def _of_machine() -> Iterator[_Found]:
    try:
        facts = gather(Host())
    except Exception as error:  # noqa: BLE001  -- a report on a fault of ours must not fail for that fault
        yield Missing("facts.json", _fault(error))
        yield Missing("checks.json", say("The machine could not be read."))
        return
    yield _Document("facts.json", facts)
    try:
        yield _Document("checks.json", judge(facts))
    except Exception as error:  # noqa: BLE001  -- as above
        yield Missing("checks.json", _fault(error))


def _fault(error: Exception) -> Words:
    return say("A fault of kvmwizard: {error}", error=f"{type(error).__name__}: {error}")


def _of_session(state_directory: Path) -> Iterator[_Found]:
    yield _read(state_directory / "session.json", "answers.json")
    faults = sorted(state_directory.glob("fault-*.txt"))[-MOST_FAULTS:]
    yield from (_read(path, path.name) for path in faults)


def _of_run(store: RunStore, run_id: str | None) -> Iterator[_Found]:
    if run_id is None:
        yield Missing("run/", say("Nothing has been run yet."))
        return
    try:
        directory = store.directory(run_id)
    except Refusal as refused:
        yield Missing("run/", refused.words)
        return
    try:
        state = store.read(run_id)
    except Refusal as refused:
        yield Missing("run/status.json", refused.words)
    else:
        standing = {"run": run_id, "status": state.status, "notice": state.notice, "steps": state.steps}
        yield _Document("run/status.json", standing)
    yield _read(directory / "plan.json", "run/plan.json")
    yield _read(journal_path(directory), "run/journal.jsonl")
    others = [directory / name for name in ("journal.torn", "runner.log", "lock")]
    for path in (*others, *sorted((directory / "logs").glob("*.log"))):
        if os.path.lexists(path):
            yield _read(path, f"run/{path.relative_to(directory)}")


def _read(path: Path, name: str) -> _Found:
    """The end of a plain file; what is no plain file is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Missing(name, say("There is no {path}.", path=str(path)))
    except OSError as error:
        return _unreadable(name, path, error)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Missing(name, say("{path} is not a plain file.", path=str(path)))
        skipped = max(status.st_size - MOST_BYTES, 0)
        content = os.pread(descriptor, MOST_BYTES, skipped)
    except OSError as error:
        return _unreadable(name, path, error)
    finally:
        os.close(descriptor)
    note = say("Only its last {count} bytes are packed.", count=len(content)) if skipped else None
    return _document(name, content.decode(errors="backslashreplace"), note)


def _unreadable(name: str, path: Path, error: OSError) -> Missing:
    return Missing(
        name, say("{path} cannot be read: {error}.", path=str(path), error=error.strerror or str(error))
    )


def _document(name: str, text: str, note: Words | None) -> _Document:
    if name.endswith(".jsonl"):
        return _Document(name, lines=tuple(text.split("\n")), note=note)
    if not name.endswith((".json", "lock")):
        return _Document(name, lines=(text,), note=note)
    try:
        return _Document(name, json.loads(text), note=note)
    except (ValueError, RecursionError):
        return _Document(name, lines=(text,), note=note or say("It is not what it should be: no JSON."))


# Taking out what names people and machines


def _redactor(documents: list[_Document], missing: tuple[Missing, ...]) -> Redactor:
    redactor = Redactor(secrets_of_machine(), common_words(), shipped_hosts())
    for document in documents:
        redactor.learn(document.value if document.lines is None else document.lines)
    for each in missing:
        redactor.learn(each.why)
    return redactor


def _packed(document: _Document, redactor: Redactor, *, with_names: bool) -> ReportFile:
    change = _with_names if with_names else redactor.value
    if document.lines is None:
        text = json.dumps(change(document.value), indent=1) + "\n"
    else:
        text = "\n".join(change(document.lines))
    return ReportFile(document.name, text.encode(errors="backslashreplace"), redactor.taken(), document.note)


def _with_names(value: Any) -> Any:
    return rebuilt(value, lambda text, _field: text)


def _told(words: Words, redactor: Redactor, *, with_names: bool) -> Words:
    if with_names:
        return words
    return say("{sentence}", sentence=str(redactor.value(words)))


def _about(run_id: str | None, files: tuple[ReportFile, ...], missing: tuple[Missing, ...]) -> str:
    taken = sum((file.taken for file in files), Counter[Kind]())
    lines = [
        f"kvmwizard {__version__}, Python {platform.python_version()}",
        f"Packed {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, run {run_id or '-'}",
        "",
        *(f"{file.name}: {file.note.english}" for file in files if file.note is not None),
        *(f"{each.name} is missing: {each.why.english}" for each in missing),
    ]
    if taken:
        kinds = ", ".join(f"[{kind.value}-N]" for kind in taken)
        lines.append(f"The same placeholder stands for the same name everywhere: {kinds}.")
    return "\n".join(lines) + "\n"
