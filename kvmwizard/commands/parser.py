"""The arguments that the command line takes."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kvmwizard import __version__
from kvmwizard.commands.help import CellHelpFormatter
from kvmwizard.commands.output import show
from kvmwizard.words import _, translate_argparse
from kvmwizard.wrapping import printable

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

SOURCE_OPTIONS = ("kernel_mirror", "kernel_git", "kernel_key", "qemu_mirror", "qemu_git", "qemu_key")
"""The options, by their names in `Options`, that say where sources come from."""


class Options(argparse.Namespace):
    """What was asked for; each command has those that its parser below defines."""

    command: str = "wizard"
    state_dir: Path | None = None
    root: Path | None = None
    answers: Path | None = None
    user: str | None = None
    qemu: str | None = None
    json: bool = False
    format: str = "text"
    stop: bool = False
    skip: str | None = None
    yes: bool = False
    no_verify: bool = False
    follow: bool = False
    raw: bool = False
    step: str | None = None
    run: str | None = None
    output: Path | None = None
    with_names: bool = False
    project: str = "kernel"
    tags: bool = False
    offline: bool = False
    search: str | None = None
    kernel_mirror: str | None = None
    kernel_git: str | None = None
    kernel_key: str | None = None
    qemu_mirror: str | None = None
    qemu_git: str | None = None
    qemu_key: str | None = None


class HarmlessParser(argparse.ArgumentParser):
    """Says what is wrong with arguments without giving the terminal what they hold."""

    def error(self, message: str) -> NoReturn:
        """As argparse does, on one line of harmless characters."""
        super().error(printable(message))

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """Where argparse says nothing of output that was lost: raises OutputLostError."""
        if file is sys.stdout:
            show(message)
        else:
            super()._print_message(message, file)


def _text(given: str) -> str:
    """Never empty: as when a script's variable was not set, which must not mean the default."""
    if not given:
        raise argparse.ArgumentTypeError(_("it is empty"))
    return given


def _path(given: str) -> Path:
    return Path(_text(given))


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; help is in the reader's language."""
    translate_argparse()
    parser: argparse.ArgumentParser = HarmlessParser(
        prog="kvmwizard",
        description=_(
            "Takes a Linux machine to a proven KVM host. Without a command it opens the wizard, "
            "or resumes it where it was left."
        ),
        epilog=_(
            "Exit codes: 0 good, 1 not ready or failed, 2 wrong use or unreadable input, "
            "3 stopped and resumable."
        ),
        allow_abbrev=False,
        formatter_class=CellHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"kvmwizard {__version__}", help=_("show the version and exit")
    )
    _add_state_directory(parser)
    _add_sources(parser)
    commands = parser.add_subparsers(title=_("commands"), metavar=_("COMMAND"), dest="command")
    _add_check(commands)
    _add_versions(commands)
    _add_plan(commands)
    _add_apply(commands)
    _add_status(commands)
    _add_log(commands)
    _add_verify(commands)
    _add_undo(commands)
    _add_report(commands)
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001  -- argparse has no public name for it


def _add_check(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(
        commands, "check", _("say whether this machine is ready for KVM guests; changes nothing")
    )
    _add_root(parser)
    _add_user(parser)
    _add_json(parser)


def _add_versions(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(
        commands, "versions", _("list the versions that can be built here; changes nothing")
    )
    parser.add_argument("project", choices=("kernel", "qemu"), help=_("of which program"))
    parser.add_argument(
        "--tags", action="store_true", help=_("all tags of the git repository instead of releases")
    )
    parser.add_argument(
        "--search", metavar=_("TEXT"), help=_("only those with this text, as 6.12, longterm or book")
    )
    parser.add_argument(
        "--offline", action="store_true", help=_("ask no server: the list that was kept, or a small one")
    )
    _add_sources(parser)
    _add_json(parser)


def _add_plan(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(commands, "plan", _("list exactly what would be done; changes nothing"))
    _add_root(parser)
    _add_answers(parser, _("a JSON file of answers (default: the wizard's, completed by its proposals)"))
    _add_sources(parser)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--format",
        choices=("text", "json", "sh"),
        default="text",
        help=_("how to list it: to read, for programs, or as a shell script (default: text)"),
    )
    forms.add_argument(
        "--json", dest="format", action="store_const", const="json", help=_("as --format json")
    )


def _add_apply(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(
        commands, "apply", _("carry the plan out, or go on with a run that stopped, and prove the result")
    )
    _add_answers(
        parser,
        _(
            "a JSON file of answers (default: the wizard's, completed by its proposals); where nobody is at "
            "a terminal, to name it is to agree"
        ),
    )
    _add_sources(parser)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--stop", action="store_true", help=_("bring the run that is under way to a safe end"))
    way.add_argument(
        "--skip",
        metavar=_("STEP"),
        help=_("go on without the step, which failed, and without what needs it"),
    )
    parser.add_argument("--no-verify", action="store_true", help=_("do not prove the result"))
    _add_consent(
        parser,
        _(
            "print events as JSON, one a line; asks nothing, so beginning needs --yes or, without a "
            "terminal, --answers"
        ),
    )


def _add_status(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(commands, "status", _("say how the run stands"))
    _add_json(parser)


def _add_log(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(commands, "log", _("print what a step's commands printed"))
    parser.add_argument(
        "step",
        nargs="?",
        metavar=_("STEP"),
        help=_("the step's id, as status shows it (default: the one that runs, failed or ran last)"),
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help=_("go on printing until the step ends, or without a STEP until the run does"),
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--raw",
        action="store_true",
        help=_("print every byte as it is, for a file; a terminal might be steered by it"),
    )
    _add_json(forms)


def _add_verify(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(commands, "verify", _("prove that guests run; changes nothing unasked"))
    _add_user(parser)
    parser.add_argument(
        "--qemu", type=_text, metavar=_("PATH"), help=_("the QEMU to use (default: the chosen one)")
    )
    _add_json(parser)


def _add_undo(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(commands, "undo", _("take back what a run changed"))
    parser.add_argument(
        "run",
        nargs="?",
        type=_text,
        metavar=_("RUN"),
        help=_("the run's id (default: the last one that changed something)"),
    )
    _add_consent(parser, _("print events as JSON, one a line; asks nothing, so beginning needs --yes"))


def _add_report(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add_command(
        commands,
        "report",
        _("pack facts, plan, journal and logs, to attach to a question; asks before writing"),
    )
    parser.add_argument(
        "run",
        nargs="?",
        type=_text,
        metavar=_("RUN"),
        help=_("the run's id (default: the last one)"),
    )
    parser.add_argument(
        "--output",
        type=_path,
        metavar=_("FILE"),
        help=_("the file, or the folder for it (default: a new file in the current folder)"),
    )
    parser.add_argument(
        "--with-names",
        action="store_true",
        help=_("leave in what names people and machines: users, hosts, addresses, serial numbers"),
    )
    parser.add_argument("--yes", action="store_true", help=_("write it without asking"))
    parser.add_argument(
        "--json", action="store_true", help=_("print what it holds as JSON; writes with --yes")
    )


def _add_command(
    commands: "Commands[argparse.ArgumentParser]", name: str, purpose: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=purpose, description=purpose, allow_abbrev=False, formatter_class=CellHelpFormatter
    )
    _add_state_directory(parser)
    return parser


def _add_state_directory(parser: argparse.ArgumentParser) -> None:
    # Without a default of its own, so that it may stand before the command as well as after it.
    parser.add_argument(
        "--state-dir",
        type=_path,
        default=argparse.SUPPRESS,
        metavar=_("DIRECTORY"),
        help=_("where answers and runs are kept (default: kvmwizard in the user's state directory)"),
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    # Without defaults of their own, as above.
    sources = parser.add_argument_group(
        _("where sources come from"),
        _("Each stands in place of the project's own server. The wizard and apply keep it with the answers."),
    )
    for option, name, meaning in (
        ("--kernel-mirror", _("URL"), _("a mirror of https://cdn.kernel.org/pub/linux/kernel")),
        ("--kernel-git", _("URL"), _("a git repository with the tags of Linux")),
        ("--kernel-key", _("FILE"), _("one more public key whose signatures of Linux count")),
        ("--qemu-mirror", _("URL"), _("a mirror of https://download.qemu.org")),
        ("--qemu-git", _("URL"), _("a git repository with the tags of QEMU")),
        ("--qemu-key", _("FILE"), _("one more public key whose signatures of QEMU count")),
    ):
        sources.add_argument(option, metavar=name, help=meaning, default=argparse.SUPPRESS)


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=_path, metavar=_("DIRECTORY"), help=_("read a recorded machine instead of this one")
    )


def _add_answers(parser: argparse.ArgumentParser, meaning: str) -> None:
    parser.add_argument("--answers", type=_path, metavar=_("FILE"), help=meaning)


def _add_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user",
        type=_text,
        metavar=_("NAME"),
        help=_("whom guests are for (default: you, or who called sudo)"),
    )


def _add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help=_("print JSON, for programs"))


def _add_consent(parser: argparse.ArgumentParser, json_meaning: str) -> None:
    parser.add_argument("--yes", action="store_true", help=_("do not ask before beginning"))
    parser.add_argument("--json", action="store_true", help=json_meaning)
