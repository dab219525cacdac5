"""The plan as shell, read by a real shell. (A whole script is run in the throwaway machine.)"""

import shlex
import subprocess
from pathlib import Path

import pytest

from kvmwizard.host.modules import ModuleState
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import (
    Action,
    FileAbsent,
    GrantDeviceAcl,
    Plan,
    RemoveEmptyGroup,
    RemoveFile,
    RevokeDeviceAcl,
    RunCommand,
    RunGuestAs,
    SetDeviceGroup,
    Step,
    WriteFile,
    plan_digest,
)
from kvmwizard.plan.shell import plan_as_shell, shell_lines
from kvmwizard.words import say
from tests.facts_builder import make_facts, module_states, node
from tests.plan.answers import A_KERNEL, make_answers


def a_step(*actions: Action, required: bool = True) -> Plan:
    step = Step(
        id="a.step",
        title=say("A step"),
        root=True,
        seconds=0,
        conditions=(FileAbsent(path="/nowhere"),),
        actions=actions,
        required=required,
    )
    return Plan(user="bob", qemu=None, steps=(step,))


def run_steps(plan: Plan) -> subprocess.CompletedProcess[str]:
    """The script's own steps, without its question whether it is root."""
    _, _, steps = plan_as_shell(plan).partition("\nfi\n")
    return subprocess.run(["/bin/sh", "-eu"], input=steps, capture_output=True, text=True, check=False)


def whole_plan() -> Plan:
    facts = make_facts(
        kvm={"node": node(0o600, group=(0, "root"))},
        users={"kvm_group": None, "kvm_group_id": None},
        modules={**module_states(kvm_intel=ModuleState.AVAILABLE), "nested": False},
        iommu={"parameters": ()},
    )
    answers = make_answers(
        kernel=A_KERNEL, modules=("kvm_intel",), nested=True, iommu=True, extras=("image-tools",)
    )
    return make_plan(facts, answers)


def test_a_shell_can_read_the_whole_script(tmp_path: Path) -> None:
    plan = whole_plan()
    script = tmp_path / "plan.sh"
    script.write_text(plan_as_shell(plan))
    checked = subprocess.run(["/bin/sh", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert plan_digest(plan) in script.read_text()
    places = [script.read_text().index(f"[{step.id}]") for step in plan.steps]
    assert places == sorted(places)


def test_only_root_runs_it(tmp_path: Path) -> None:
    script = tmp_path / "plan.sh"
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    # Only the search path is another, so that an ordinary user answers even where root tests.
    text = plan_as_shell(a_step(RunCommand(argv=("/usr/bin/touch", str(tmp_path / "touched")))))
    script.write_text(text.replace("PATH=/usr/local/sbin", f"PATH={tmp_path}:/usr/local/sbin"))
    ran = subprocess.run(["/bin/sh", str(script)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "run it as root" in ran.stderr
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "text",
    [
        "plain\n",
        'GRUB="$GRUB intel_iommu=on" `id` $(id) \\ \'\n',
        "END_OF_FILE\nEND_OF_FILE_\nrest\n",
        "\n\n  spaces  \n",
    ],
)
def test_a_written_file_is_exactly_the_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "made folder" / "it's"
    ran = run_steps(a_step(WriteFile(path=str(path), text=text, mode=0o640)))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert path.read_text() == text
    assert path.stat().st_mode & 0o7777 == 0o640
    again = run_steps(a_step(RemoveFile(path=str(path)), RemoveFile(path=str(path))))
    assert again.returncode == 0
    assert not path.exists()


def test_words_stay_words(tmp_path: Path) -> None:
    hostile = str(tmp_path / "a b;$(id)'\"")
    assert run_steps(a_step(RunCommand(argv=("/usr/bin/touch", hostile)))).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a b;$(id)'\""]


def test_the_environment_is_given(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = RunCommand(
        argv=("/bin/sh", "-c", f'echo "$A" > {shlex.quote(str(out))}'), environment={"A": "x y"}
    )
    assert run_steps(a_step(command)).returncode == 0
    assert out.read_text() == "x y\n"


def test_a_required_step_stops_the_script() -> None:
    plan = a_step(RunCommand(argv=("/bin/false",)), RunCommand(argv=("/bin/echo", "reached")))
    ran = run_steps(plan)
    assert ran.returncode != 0
    assert ran.stdout == ""


def test_another_step_only_warns_and_its_rest_is_left_out(tmp_path: Path) -> None:
    written = WriteFile(path=str(tmp_path / "file"), text="kept\n", mode=0o644)
    plan = a_step(
        written,
        RunCommand(argv=("/bin/false",)),
        RunCommand(argv=("/bin/echo", "reached")),
        required=False,
    )
    ran = run_steps(plan)
    assert ran.returncode == 0
    assert ran.stdout == ""
    assert "a.step failed" in ran.stderr
    assert (tmp_path / "file").read_text() == "kept\n"


def test_another_step_that_works_does_not_warn(tmp_path: Path) -> None:
    written = WriteFile(path=str(tmp_path / "file"), text="kept\n", mode=0o644)
    ran = run_steps(a_step(written, RunCommand(argv=("/bin/echo", "reached")), required=False))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "reached\n", "")


@pytest.mark.parametrize(
    ("action", "lines"),
    [
        (
            SetDeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),
            ("chgrp -- kvm /dev/kvm", "chmod 0660 -- /dev/kvm"),
        ),
        (GrantDeviceAcl(path="/dev/kvm", user="bob"), ("setfacl -m u:bob:rw- -- /dev/kvm",)),
        (RevokeDeviceAcl(path="/dev/kvm", user="bob"), ("setfacl -x u:bob -- /dev/kvm",)),
        (
            RemoveEmptyGroup(group="kvm"),
            ('[ -z "$(getent group kvm | cut -d: -f4)" ] && groupdel kvm',),
        ),
    ],
)
def test_lines(action: Action, lines: tuple[str, ...]) -> None:
    assert shell_lines(action) == lines


def test_the_guest_is_read_by_root_and_run_by_the_user() -> None:
    (line,) = shell_lines(RunGuestAs(user="bob", program_sha256="0" * 64))
    command, _, program = line.partition(" <")
    assert command == "runuser -u bob -- python3 -I -S -"
    assert "/dev/kvm" in Path(shlex.split(program)[0]).read_text()


def test_apts_progress_descriptor_is_left_out() -> None:
    text = plan_as_shell(whole_plan())
    assert "Status-Fd" not in text
    assert "-o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0" in text


def test_setfacl_is_asked_for_at_the_start_only_where_it_is_used() -> None:
    assert "command -v setfacl" in plan_as_shell(whole_plan())
    assert "setfacl" not in plan_as_shell(a_step(RemoveFile(path="/nowhere")))
