"""How a QEMU is built, in shell; see `plan.source_shell`."""

from kvmwizard.plan.build_model import CompileQemu, ConfigureQemu, StageQemu
from kvmwizard.plan.shell_words import Lines, line, quoted
from kvmwizard.resources import asset_path

ENVIRONMENT = "export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 SOURCE_DATE_EPOCH=315532800"


def configure_qemu(action: ConfigureQemu) -> Lines:
    """In an empty build folder."""
    headers = tuple(f"--extra-cflags=-I{asset_path(shim)}" for shim in action.shims)
    python = () if action.python is None else (f"--python={action.python}",)
    return (
        line("rm", "-rf", "--", action.build),
        line("mkdir", "-p", "--", action.build),
        line("cd", "--", action.build),
        f"{ENVIRONMENT} {line(f'HOME={action.build}')}",
        line(f"{action.tree}/configure", *python, *action.flags, *headers),
    )


def compile_qemu(action: CompileQemu) -> Lines:
    """The programs alone; make had a folder for each target until 5.2."""
    targets = [f"subdir-{program.removeprefix('qemu-system-')}-softmmu" for program in action.programs]
    return (
        line("cd", "--", action.build),
        f"{ENVIRONMENT} {line(f'HOME={action.build}')}",
        "if [ -f build.ninja ]; then",
        f"    {line('ninja', f'-j{action.jobs}', *action.programs)}",
        "else",
        f"    {line('make', f'-j{action.jobs}', *targets)}",
        "fi",
    )


def stage_qemu(action: StageQemu) -> Lines:
    """The programs and their firmware as they will lie below /."""
    there = f"{action.stage}{action.prefix}"
    copies = [
        f'install -D -m 0755 -- "$(ls -- {quoted(program)} */{quoted(program)} 2>/dev/null | head -n 1)" '
        f"{quoted(f'{there}/bin/{program}')}"
        for program in action.programs
    ]
    return (
        line("rm", "-rf", "--", action.stage),
        line("cd", "--", action.build),
        *copies,
    )
