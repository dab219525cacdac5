"""Plans of harmless steps, none of root's: each removes a file in a temporary folder."""

from pathlib import Path

from kvmwizard.plan.model import FileAbsent, Plan, Resource, RunCommand, Step
from kvmwizard.words import say

SHELL = "/bin/sh"


def removing_step(
    path: Path,
    *,
    script: str = "",
    needs: tuple[str, ...] = (),
    required: bool = True,
    uses: tuple[Resource, ...] = (),
) -> Step:
    """A step that runs `script`, then removes the file; every start leaves a line in `FILE.starts`."""
    commands = [f"echo begun >> {path}.starts", *([script] if script else []), f"rm {path}"]
    return Step(
        id=path.name,
        title=say("Remove {path}", path=str(path)),
        needs=needs,
        root=False,
        uses=uses,
        seconds=1,
        conditions=(FileAbsent(path=str(path)),),
        actions=(RunCommand(argv=(SHELL, "-ec", "; ".join(commands))),),
        required=required,
    )


def step(
    step_id: str,
    *,
    needs: tuple[str, ...] = (),
    root: bool = False,
    uses: tuple[Resource, ...] = (),
    required: bool = True,
) -> Step:
    """A step to schedule, not to carry out."""
    return Step(
        id=step_id,
        title=say("a step"),
        needs=needs,
        root=root,
        uses=uses,
        seconds=1,
        conditions=(),
        actions=(),
        required=required,
    )


def plan_of(*steps: Step) -> Plan:
    """A plan of these steps."""
    return Plan(user="root", qemu=None, steps=steps)


def files(folder: Path, *names: str) -> list[Path]:
    """The files that steps will remove."""
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text("here\n", encoding="ascii")
    return paths


def starts(path: Path) -> int:
    """How often a step's command was started."""
    record = path.with_name(f"{path.name}.starts")
    return len(record.read_text(encoding="ascii").splitlines()) if record.exists() else 0
