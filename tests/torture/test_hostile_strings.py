"""Hostile texts in every place that takes one: no shell, no option, no steered terminal, no fault."""

import json
import random
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.answers import Answers
from kvmwizard.answers_file import AnswersFileRefused, read_answers_file
from kvmwizard.commands.decisions import feasible_answers
from kvmwizard.commands.exit_code import CommandRefused
from kvmwizard.plan import builder_shell
from kvmwizard.plan.build_model import BuilderAction
from kvmwizard.plan.builder_shell import builder_preamble
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan, RunCommand
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.shell import plan_as_shell
from kvmwizard.plan.text import plan_as_text
from kvmwizard.run.workers import MODULES
from tests.conftest import Counts, Tries
from tests.facts_builder import make_facts
from tests.machine.layers import PROGRAM_FOLDER, PROGRAM_PYTHON, Layer, prepared_layer
from tests.machine.machine import ThrowawayMachine
from tests.plan.builds import build_answers
from tests.torture.bad_files import is_safe
from tests.torture.hostile import MARK, TOKEN, TextField, payloads, text_fields
from tests.torture.trial import Trial

ALL = 200
SHELLS = {"sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "rbash", "env", "xargs", "eval"}
"""What takes commands out of texts."""
FACTS = make_facts(live=False)


def cases(number: int, seed: int) -> Iterator[tuple[TextField, str]]:
    """Each of so many texts in every field, or where they are few, each text in some fields."""
    fields = text_fields()
    for text in payloads(min(number, ALL), seed):
        for field in fields:
            yield field, text


def refused_or_answers(path: Path) -> Answers | AnswersFileRefused:
    try:
        return read_answers_file(path)
    except AnswersFileRefused as refused:
        return refused


def planned(answers: Answers) -> Plan | None:
    try:
        return make_plan(FACTS, feasible_answers(answers, FACTS))
    except (CommandRefused, PlanRefused) as refused:
        told = [refused.words, *getattr(refused, "details", ())]
        assert all(words.english for words in told)
        return None


def quoted_everywhere(text: str, script: str) -> bool:
    """Whether the text stands only where a shell leaves it as it is: between apostrophes, in a comment."""
    for found in re.finditer(re.escape(text), script):
        line = script[script.rfind("\n", 0, found.start()) + 1 : found.start()]
        if not line.lstrip().startswith("#") and line.count("'") % 2 == 0:
            return shlex.quote(text) == text
    return True


def check_plan(plan: Plan, text: str) -> None:
    """Where the text is in the plan's commands, it is no option, nor anything that a shell would do."""
    for step in plan.steps:
        for action in step.actions:
            if isinstance(action, RunCommand):
                check_command(action.argv)
    for line in plan_as_text(plan, {}, 80).splitlines():
        assert is_safe(line)
    assert TOKEN not in text or quoted_everywhere(text, plan_as_shell(plan))


def check_command(argv: Sequence[str]) -> None:
    """No program that takes commands, and none of our texts where a program takes options."""
    program, *arguments = argv
    assert program.rpartition("/")[2] not in SHELLS, argv
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    smuggled = [
        word for word in options if word.startswith(("-", "+", "@")) and TOKEN in word.partition("=")[0]
    ]
    assert smuggled == [], argv


def test_every_text_in_every_field_of_an_answers_file(
    tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    path = tmp_path / "answers.json"
    tried = refused = plans = 0
    for field, text in cases(tries(short=6, full=ALL), seed):
        tried += 1
        path.write_text(json.dumps(field.document(text)), encoding="ascii")
        answers = refused_or_answers(path)
        if isinstance(answers, AnswersFileRefused):
            refused += 1
            told = [answers.words.english, *(words.english for words in answers.details)]
            assert all(len(words) < 4 * 300 for words in told), (field.name, told)
            continue
        plan = planned(answers)
        if plan is not None:
            plans += 1
            check_plan(plan, text)
    assert refused > tried / 2
    assert plans
    counts(
        "hostile texts in answers files", tried=tried, fields=len(text_fields()), refused=refused, plans=plans
    )


def test_every_field_that_takes_text_is_found() -> None:
    names = {field.name for field in text_fields()}
    assert "access(AccessAnswer).user" in names
    assert "qemu_build(QemuBuildAnswer).flags[]" in names
    assert len(names) > 40, names
    for field in text_fields():
        assert "T" in json.dumps(field.document("T"))


def test_the_check_itself_sees_a_smuggled_option_and_a_shell() -> None:
    with pytest.raises(AssertionError):
        check_command(("/usr/bin/apt-get", "install", f"-o{TOKEN}=1"))
    with pytest.raises(AssertionError):
        check_command(("/bin/sh", "-c", "true"))
    check_command(("/usr/bin/apt-get", "install", "--", f"-{TOKEN}"))
    assert not quoted_everywhere(f"$(touch {MARK})", f"rm $(touch {MARK})")
    assert not quoted_everywhere(f"`touch {MARK}`", f"rm 'x' \"`touch {MARK}`\"")
    assert quoted_everywhere(f"$(touch {MARK})", shlex.join(["rm", f"/x/$(touch {MARK})"]))


HOSTILE_FOLDERS = (
    f"/tmp/$(touch {MARK})",
    f"/tmp/`touch {MARK}`",
    f"/tmp/a; touch {MARK}",
    f"/tmp/it's {TOKEN}",
    f'/tmp/"{TOKEN}"',
    "/tmp/a  b",
    "/tmp/*",
    "/tmp/\\n",
    "~",
    "-rf",
)
TELLING_PROGRAM = '#!/bin/sh\nprintf \'%s\\0\' "${0##*/}" "$@" END >>"$TOLD"\n'
PROGRAMS_OF_BUILDERS = {
    **dict.fromkeys(("mkdir", "chown", "chmod", "ls"), TELLING_PROGRAM),
    "id": "#!/bin/sh\necho 1000\n",
    "cat": "#!/bin/sh\nexec /bin/cat\n",
    "env": '#!/bin/sh\nexec /usr/bin/env "$@"\n',
    # Without `-i`, which would have them forget where to tell what they are told.
    "setpriv": '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nshift\nshift\nexec env "$@"\n',
}


def commands_told(script: str, folder: Path) -> list[list[str]]:
    """What /bin/sh makes of the script: the words of each program that only tells them."""
    for name, text in PROGRAMS_OF_BUILDERS.items():
        (folder / name).write_text(text, encoding="ascii")
        (folder / name).chmod(0o755)
    told = folder / "told"
    environment = {"PATH": str(folder), "TOLD": str(told), "HOME": "/nowhere"}
    subprocess.run(["/bin/sh", "-eu"], input=script, text=True, check=True, env=environment, cwd=folder)
    commands = told.read_text(encoding="utf-8").split("\0END\0")[:-1]
    return [command.split("\0") for command in commands]


@pytest.mark.parametrize("builder", [None, "bob"])
@pytest.mark.parametrize("folder", HOSTILE_FOLDERS)
def test_a_build_folder_of_any_name_stays_one_word_of_the_script(
    tmp_path: Path, folder: str, builder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers and homes that bring such a folder are refused; where the program's assets lie is not asked."""
    monkeypatch.setattr(builder_shell, "assets_directory", lambda: Path(folder, "assets"))
    plan = Plan(user="bob", qemu=None, steps=(), build_folder=folder, builder=builder)
    told = commands_told("\n".join(builder_preamble(plan)), tmp_path)
    made = ["mkdir", "-p", "--", folder]
    given = [["chown", "--", "1000:1000", folder], ["chmod", "0700", "--", folder]]
    assets = ["ls", "--", str(Path(folder, "assets"))]
    assert told == [made, *(given if builder is not None else ()), assets]


# In a throwaway machine, every program that is started seen by strace(1)

DRIVER = """
import contextlib, io, json, os, sys
from kvmwizard import cli
import kvmwizard.commands.plan as plan
facts = plan.read_machine(None)
plan.read_machine = lambda root=None: facts
codes, faults, unsafe, planned = {}, [], [], []
for number, case in enumerate(json.load(open(sys.argv[1]))):
    if case["answers"] is not None:
        with open("answers.json", "w") as file:
            json.dump(case["answers"], file)
    output, complaints = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(complaints):
        code = cli.main(case["words"])
    output.flush(), complaints.flush()
    said = output.buffer.getvalue().decode() + complaints.buffer.getvalue().decode()
    codes[str(int(code))] = codes.get(str(int(code)), 0) + 1
    if "Traceback" in said or "fault of its own" in said:
        faults.append([case["name"], said[-600:]])
    if any(ord(each) < 32 and each != chr(10) or 127 <= ord(each) < 160 for each in said):
        unsafe.append(case["name"])
    if code == 0 and case["answers"] is not None:
        planned.append(case["answers"])
print(json.dumps({"codes": codes, "faults": faults, "unsafe": unsafe, "planned": planned}))
"""


@pytest.fixture(scope="session")
def traced_base(program_base: Layer) -> Layer:
    """A machine with the program and strace."""

    def install(machine: ThrowawayMachine) -> None:
        machine.do(["apt-get", "-q", "-y", "install", "--no-install-recommends", "strace"], timeout=300)

    return prepared_layer("traced", install, [b"strace"], program_base)


@pytest.fixture
def traced(traced_base: Layer) -> Iterator[ThrowawayMachine]:
    with ThrowawayMachine.start(traced_base.stack, network=False) as machine:
        yield machine


def trace(
    machine: ThrowawayMachine, *argv: str, user: str = "root", seconds: float = 3600
) -> tuple[str, list[list[str]]]:
    """Run it, and say what it printed and the argv of every program that anything in it started."""
    machine.do(["install", "-m", "0666", "/dev/null", "/tmp/trace"])
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-xx", "-s", "100000", "-o", "/tmp/trace"]
    ended = machine.run([*strace, "-e", "trace=execve,execveat", *argv], user=user, timeout=seconds)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout, started_programs(machine.path("/tmp/trace").read_text(encoding="ascii"))


def started_programs(text: str) -> list[list[str]]:
    """From strace's lines, all strings of which are in hexadecimal."""
    found = []
    for line in text.splitlines():
        call = re.search(r"execve(?:at)?\((?:AT_FDCWD, )?\"[^\"]*\", \[([^\]]*)\]", line)
        if call is not None:
            words = re.findall(r"\"((?:\\x[0-9a-f]{2})*)\"", call[1])
            found.append([bytes.fromhex(word.replace("\\x", "")).decode(errors="replace") for word in words])
    return found


def checked(started: list[list[str]]) -> Trial:
    """Each program that was started, looked at."""
    trial = Trial()
    for argv in started:
        with trial.of("a program"):
            check_command(argv)
    return trial


def argument_cases(texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    options = [
        *(
            ("plan", option)
            for option in ("--kernel-mirror", "--kernel-git", "--kernel-key", "--root", "--answers")
        ),
        *(
            ("versions kernel --offline", option)
            for option in ("--search", "--kernel-mirror", "--kernel-key")
        ),
        *(("versions qemu --offline", option) for option in ("--qemu-mirror", "--qemu-git", "--qemu-key")),
        *(("status", "--state-dir"), ("log", ""), ("undo --yes", ""), ("", ""), ("versions", "")),
    ]
    for text in texts:
        # No argument of a process can hold a zero.
        clean = text.replace("\x00", "0").encode(errors="replace").decode()
        for words, option in options:
            forms = [[f"{option}={clean}"], [option, clean]] if option else [[clean]]
            for form in forms:
                yield {"name": f"{words} {form}", "words": [*words.split(), *form], "answers": None}


@pytest.mark.root
@pytest.mark.slow
def test_no_text_of_answers_or_arguments_starts_anything(
    traced: ThrowawayMachine, tries: Tries, counts: Counts, seed: int
) -> None:
    number = tries(short=8, full=ALL)
    documents: list[dict[str, Any]] = [
        {
            "name": f"{field.name} {text!r}",
            "words": ["plan", "--answers", "answers.json", "--format", "sh"],
            "answers": field.document(text),
        }
        for field, text in cases(number, seed)
    ]
    documents += argument_cases(payloads(number, seed))
    traced.path("/tmp/cases.json").write_text(json.dumps(documents), encoding="ascii")
    traced.path("/tmp/driver.py").write_text(DRIVER, encoding="ascii")
    said, started = trace(traced, PROGRAM_PYTHON, "/tmp/driver.py", "/tmp/cases.json", user="alice")
    result = json.loads(said)
    assert result["faults"] == []
    assert result["unsafe"] == []
    # The first is ours.
    programs = started[1:]
    assert programs, "strace saw nothing"
    agreed = result["planned"][: tries(short=1, full=20)]
    for answers in agreed:
        programs += apply_traced(traced, answers)
    trial = checked(programs)
    counts(
        "hostile texts, execve traced",
        tried=len(documents),
        programs_started=trial.tried,
        shells_or_smuggled_options=len(trial.amiss),
        plans_applied=len(agreed),
    )
    assert trial.amiss == []
    assert not traced.path(MARK).exists()


def apply_traced(machine: ThrowawayMachine, answers: dict[str, Any]) -> list[list[str]]:
    """Carry it out as root, as a script would; without a network it goes as far as it can."""
    machine.path("/root/answers.json").write_text(json.dumps(answers), encoding="ascii")
    program = f"{PROGRAM_FOLDER}/bin/kvmwizard"
    _, started = trace(machine, program, "apply", "--no-verify", "--answers", "/root/answers.json")
    # What the package manager starts for packages is the distribution's own.
    return [argv for argv in started if TOKEN in " ".join(argv)]


def worker_cases(texts: Sequence[str], seed: int) -> Iterator[tuple[str, str]]:
    """Module and action of each kind of work, one text of it replaced."""
    plan = make_plan(FACTS, feasible_answers(build_answers(), FACTS))
    actions = [action for step in plan.steps for action in step.actions if isinstance(action, BuilderAction)]
    places = [
        (action.kind, action.model_dump(mode="json"), place)
        for action in actions
        for place in string_places(action.model_dump(mode="json"))
        if place[-1] not in {"kind", "identity"}
    ]
    cases = [(*each, text.replace("\x00", "0")) for text in texts for each in places]
    random.Random(seed).shuffle(cases)  # noqa: S311  -- no secret
    for kind, document, place, text in cases:
        yield MODULES[kind], json.dumps(replaced(document, place, text))


def string_places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield above
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in pairs:
        yield from string_places(member, (*above, key))


def replaced(value: Any, place: tuple[Any, ...], text: str) -> Any:
    if not place:
        return text
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(value[place[0]], place[1:], text)
    return copy


WORKERS = """
import collections, concurrent.futures, itertools, json, subprocess, sys
numbers = itertools.count()

def work(case):
    module, action = case
    # Those without a network mostly wait before they try again: several side by side.
    progress = f"/tmp/progress-{next(numbers)}"
    argv = [sys.executable, "-m", module, "--progress", progress, "--log", "/tmp/log", action]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        print(action[-300:], file=sys.stderr)
        return "timeout"
    return str(done.returncode)

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(json.dumps(collections.Counter(pool.map(work, json.load(open(sys.argv[1]))))))
"""


@pytest.mark.root
@pytest.mark.slow
def test_no_text_of_a_builders_action_starts_anything(
    traced: ThrowawayMachine, tries: Tries, counts: Counts, seed: int
) -> None:
    chosen = list(worker_cases(payloads(tries(short=2, full=ALL), seed), seed))[: tries(short=25, full=1500)]
    traced.path("/tmp/cases.json").write_text(json.dumps(chosen), encoding="ascii")
    traced.path("/tmp/driver.py").write_text(WORKERS, encoding="ascii")
    traced.do(["install", "-m", "0666", "/dev/null", "/tmp/log"])
    said, started = trace(traced, PROGRAM_PYTHON, "/tmp/driver.py", "/tmp/cases.json", user="alice")
    ended = json.loads(said)
    assert sum(ended.values()) == len(chosen)
    assert set(ended) <= {"0", "1"}, ended
    trial = checked([argv for argv in started if argv[0] != PROGRAM_PYTHON])
    counts(
        "hostile texts in builders' actions",
        tried=len(chosen),
        programs_started=trial.tried,
        shells_or_smuggled_options=len(trial.amiss),
    )
    assert trial.amiss == []
    assert not traced.path(MARK).exists()
