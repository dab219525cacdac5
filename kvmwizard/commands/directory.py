"""The state directory that the options ask for; light, since the wizard's first frame waits for it."""

from pathlib import Path

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.parser import Options
from kvmwizard.paths import DirectoryRefused, state_directory


def asked_state_directory(options: Options) -> Path:
    """The directory that was asked for, else the user's own. Raises CommandRefused."""
    try:
        return state_directory(options.state_dir)
    except DirectoryRefused as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
