"""From arguments to a command, and from whatever goes wrong to a sentence and an exit code."""

import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import cast

from kvmwizard import __version__
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import OutputLostError, complain, give_up_output, prepare_streams
from kvmwizard.commands.parser import Options, build_parser
from kvmwizard.paths import DirectoryRefused, private_directory, state_directory, write_atomically
from kvmwizard.words import say


def run_command_line(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, and return the exit code; raises nothing."""
    prepare_streams()
    options = Options()
    try:
        build_parser().parse_args(arguments, namespace=options)
        return _run_command(options)
    except SystemExit as end:
        # How argparse ends after --help and after wrong arguments.
        return _flushed(end)
    except CommandRefused as refused:
        complain(refused.words)
        for words in refused.details:
            complain(f"  {words}")
        return refused.code
    except OutputLostError as lost:
        return _end_without_output(lost.__cause__)
    except KeyboardInterrupt:
        complain(say("Interrupted."))
        return ExitCode.NOT_GOOD
    except Exception:  # noqa: BLE001  -- the last resort: nobody shall see a traceback
        _report_fault(options, traceback.format_exc())
        return ExitCode.NOT_GOOD


def _run_command(options: Options) -> ExitCode:
    module = importlib.import_module(f"kvmwizard.commands.{options.command}")
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


def _report_fault(options: Options, details: str) -> None:
    """Say that we are at fault, and keep the details for a report."""
    complain(
        say(
            "kvmwizard came upon a fault of its own and had to end. A run that was under way goes on "
            "by itself; see it with: kvmwizard status"
        )
    )
    name = f"fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path = private_directory(state_directory(options.state_dir)) / name
        write_atomically(path, _fault_report(details))
    except (DirectoryRefused, OSError):
        complain(say("The details could not be written to a file, so here they are:"))
        complain(details.splitlines()[-1])
        return
    complain(say("The details are in {path}; please attach that file to a report.", path=str(path)))


def _fault_report(details: str) -> bytes:
    lines = (f"kvmwizard {__version__}", f"Python {sys.version}", " ".join(sys.argv), details)
    return "\n".join(lines).encode(errors="backslashreplace")
