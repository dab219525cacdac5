"""The plan as shell: what a careful admin can read, and run to the same end."""

import shlex
from collections.abc import Iterable

from kvmwizard.host.guest_process import GUEST_PROGRAM
from kvmwizard.packages.protocol import PROGRESS_DESCRIPTOR
from kvmwizard.plan.build_model import (
    BuilderAction,
    DownloadSource,
    InstallTree,
    ProveGuests,
    RemoveTree,
    SetDefaultBoot,
    SetNextBoot,
)
from kvmwizard.plan.builder_shell import AS_BUILDER, builder_preamble
from kvmwizard.plan.install_shell import install_tree, remove_tree, set_default_boot, set_next_boot
from kvmwizard.plan.model import (
    Action,
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
from kvmwizard.plan.restart_shell import prove_guests, stop_for_restart, until_restart
from kvmwizard.plan.shell_words import here_document
from kvmwizard.plan.source_shell import builder_lines

STATUS_OPTION = f"APT::Status-Fd={PROGRESS_DESCRIPTOR}"


ShellCommand = tuple[str, tuple[str, ...]]
"""A command line, and the lines of its here-document."""


def shell_lines(action: Action) -> tuple[str, ...]:
    """The shell lines that do what the action does, run as the builder where it is, else as root."""
    if isinstance(action, BuilderAction):
        return builder_lines(action)
    if isinstance(action, InstallTree | RemoveTree | SetNextBoot | SetDefaultBoot):
        return _tree_lines(action)
    if isinstance(action, ProveGuests):
        return prove_guests(action)
    return tuple(line for command, document in _commands(action) for line in (command, *document))


def _tree_lines(action: InstallTree | RemoveTree | SetNextBoot | SetDefaultBoot) -> tuple[str, ...]:
    if isinstance(action, InstallTree):
        return install_tree(action)
    if isinstance(action, SetDefaultBoot):
        return set_default_boot(action)
    return remove_tree(action) if isinstance(action, RemoveTree) else set_next_boot(action)


def _commands(action: Action) -> tuple[ShellCommand, ...]:
    """Commands that can be joined, each the lines of its here-document beside it."""
    match action:
        case RunCommand():
            return ((_command_line(action), ()),)
        case WriteFile():
            return (_here_document(action),)
        case RemoveFile():
            return _plain(("rm", "-f", "--", action.path))
        case RemoveEmptyGroup():
            return ((_remove_empty_group(action.group), ()),)
        case SetDeviceGroup():
            return _plain(
                ("chgrp", "--", action.group, action.path),
                ("chmod", f"{action.mode:04o}", "--", action.path),
            )
        case GrantDeviceAcl():
            return _plain(("setfacl", "-m", f"u:{action.user}:{action.permissions}", "--", action.path))
        case RevokeDeviceAcl():
            return _plain(("setfacl", "-x", f"u:{action.user}", "--", action.path))
        case RunGuestAs():
            # Root opens the program, since the user may not be able to.
            guest = shlex.join(("runuser", "-u", action.user, "--", "python3", "-I", "-S", "-"))
            return ((f"{guest} <{shlex.quote(str(GUEST_PROGRAM))}", ()),)
        case _:
            return (_as_one_command("/bin/sh -eu", shell_lines(action)),)


def _as_one_command(program: str, lines: Iterable[str]) -> ShellCommand:
    """The lines, read by a program that stops at the first that fails."""
    command, *document = here_document(program, lines)
    return command, tuple(document)


def _plain(*commands: tuple[str, ...]) -> tuple[ShellCommand, ...]:
    return tuple((shlex.join(words), ()) for words in commands)


def plan_as_shell(plan: Plan) -> str:
    """A whole script for /bin/sh: it stops at the first step that must not fail and does."""
    lines = [
        "#!/bin/sh",
        f"# What kvmwizard would do for {plan.user}; plan {plan_digest(plan)}.",
        *(f"# Note: {note.english}" for note in plan.notes),
        "set -eu",
        "export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "umask 022",
        'if [ "$(id -u)" -ne 0 ]; then',
        "    echo 'This script changes the system: run it as root.' >&2",
        "    exit 1",
        "fi",
        *_needed_programs(plan),
        *builder_preamble(plan),
    ]
    restart = next((step for step in plan.steps if step.awaits_restart), None)
    if restart is not None:
        lines += until_restart(restart)
    for number, step in enumerate(plan.steps, 1):
        lines += ["", *_step_lines(number, step)]
    return "\n".join(lines) + "\n"


def _needed_programs(plan: Plan) -> tuple[str, ...]:
    """Asked for at the start: what no step of the plan brings."""
    actions = [action for step in plan.steps for action in step.actions]
    needed = {
        "setfacl": ("acl", GrantDeviceAcl | RevokeDeviceAcl),
        "curl": ("curl", DownloadSource),
        "setpriv": ("util-linux", BuilderAction),
    }
    return tuple(
        line
        for program, (package, kinds) in needed.items()
        if any(isinstance(action, kinds) for action in actions)
        for line in (
            f"if ! command -v {program} >/dev/null; then",
            f"    echo 'This script needs {program}: install the package {package}, then run it again.' >&2",
            "    exit 1",
            "fi",
        )
    )


def _step_lines(number: int, step: Step) -> list[str]:
    heading = f"# {number}. {step.title.english}  [{step.id}]"
    if step.awaits_restart:
        return [heading, *stop_for_restart()]
    own_lines = [line for action in step.actions for line in shell_lines(action)]
    proves = any(isinstance(action, ProveGuests) for action in step.actions)
    if proves or (step.root and step.required):
        return [heading, *own_lines]
    if step.root:
        commands = [command for action in step.actions for command in _commands(action)]
    else:
        commands = [_as_one_command(AS_BUILDER, own_lines)]
    lines = [heading]
    for place, (command, document) in enumerate(commands, 1):
        joined = "" if step.required else " ||" if place == len(commands) else " &&"
        lines += [f"{command}{joined}", *document]
    if step.required:
        return lines
    warning = shlex.quote(f"warning: {step.id} failed; the rest is good without it")
    return [*lines, f"    echo {warning} >&2"]


def _command_line(action: RunCommand) -> str:
    """Apt's progress goes to a descriptor that only kvmwizard opens, so the option is left out."""
    words = list(action.argv)
    while STATUS_OPTION in words:
        place = words.index(STATUS_OPTION)
        del words[place - 1 : place + 1]
    assignments = [f"{name}={shlex.quote(value)}" for name, value in action.environment.items()]
    return " ".join([*assignments, shlex.join(words)])


def _here_document(action: WriteFile) -> ShellCommand:
    words = ("install", "-D", "-m", f"{action.mode:04o}", "--", "/dev/stdin", action.path)
    return _as_one_command(shlex.join(words), action.text.splitlines())


def _remove_empty_group(group: str) -> str:
    quoted = shlex.quote(group)
    return f'[ -z "$(getent group {quoted} | cut -d: -f4)" ] && groupdel {quoted}'
