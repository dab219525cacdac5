"""From arguments to a command, and from whatever goes wrong to a sentence and an exit code."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import OutputLostError, complain, give_up_output, prepare_streams
from kvmwizard.commands.parser import Options, build_parser
from kvmwizard.words import say


def run_command_line(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, and return the exit code; raises nothing."""
    _fill_standard_input()
    prepare_streams()
    options = Options()
    try:
        _refuse_lost_values(arguments)
        build_parser().parse_args(arguments, namespace=options)
        return _run_command(options)
    except SystemExit as end:
        # How argparse ends after --help and after wrong arguments.
        return _flushed(end)
    except CommandRefused as refused:
        complain(refused.words)
        for words in refused.details:
            complain(f"  {words}")
        return refused.exit_code
    except OutputLostError as lost:
        return _end_without_output(lost.__cause__)
    except KeyboardInterrupt:
        complain(say("Interrupted."))
        return ExitCode.NOT_GOOD
    except Exception as error:  # noqa: BLE001  -- the last resort: nobody shall see a traceback
        _report_fault(options, error)
        return ExitCode.NOT_GOOD


def _fill_standard_input() -> None:
    """A closed standard input says nothing: else the next file that is opened would stand in its place."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  -- open to the end


def _refuse_lost_values(arguments: Sequence[str]) -> None:
    """Raises CommandRefused for --option=--: the argparse of Python 3.11 gives the option no text then."""
    for word in arguments:
        if word.startswith("--") and word.endswith("=--"):
            raise CommandRefused(
                ExitCode.WRONG_USE,
                say("{option} needs a value that is not --.", option=word.removesuffix("=--")),
            )


def _run_command(options: Options) -> ExitCode:
    module = importlib.import_module(f"kvmwizard.commands.{options.command}")
    gc.freeze()
    gc.enable()
    return cast("ExitCode", module.run(options))


def _flushed(end: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _end_without_output(error)
    return ExitCode.GOOD if end.code is None else ExitCode(int(end.code))


def _end_without_output(error: BaseException | None) -> int:
    """A reader who has enough (head, say) needs no words; a full disk does."""
    give_up_output()
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        complain(say("The output could not be written: {error}.", error=error.strerror or str(error)))
    return ExitCode.NOT_GOOD


def _report_fault(options: Options, error: Exception) -> None:
    """Say that the fault is ours, and keep the details for a report."""
    from kvmwizard.commands.fault import keep_details, status_command  # noqa: PLC0415  -- hardly ever needed

    complain(
        say(
            "kvmwizard came upon a fault of its own and had to end. A run that was under way goes on "
            "by itself; see it with: {command}",
            command=status_command(options.state_dir),
        )
    )
    complain(keep_details(options.state_dir, error))
