"""The servers and keys that options name, in place of those that were answered."""

from pathlib import Path
from typing import TYPE_CHECKING

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.parser import SOURCE_OPTIONS, Options
from kvmwizard.text_rules import wrong_source

if TYPE_CHECKING:  # a list of tags is printed without waiting for pydantic
    from kvmwizard.answers import Answers

KEY_OPTIONS = ("kernel_key", "qemu_key")


def check_given_sources(options: Options) -> None:
    """Bring the options that name servers and keys in order. Raises CommandRefused for what cannot be one."""
    for name in SOURCE_OPTIONS:
        value: str | None = getattr(options, name)
        if value is None:
            continue
        if name in KEY_OPTIONS:
            # A path means what it means where it was typed, not where a later command is.
            value = str(Path(value).absolute())
            setattr(options, name, value)
        wrong = wrong_source(name, value, f"--{name.replace('_', '-')}")
        if wrong is not None:
            raise CommandRefused(ExitCode.WRONG_USE, wrong)
        if name in KEY_OPTIONS:
            _require_key(value)


def with_given_sources(answers: "Answers", options: Options) -> "Answers":
    """The answers, with what options give in place of their sources. Raises CommandRefused."""
    from kvmwizard.answers import SourcesAnswer  # noqa: PLC0415  -- as above

    check_given_sources(options)
    given = {name: getattr(options, name) for name in SOURCE_OPTIONS if getattr(options, name) is not None}
    if not given:
        return answers
    answered = answers.sources.model_dump() if answers.sources is not None else {}
    return answers.model_copy(update={"sources": SourcesAnswer.model_validate({**answered, **given})})


def _require_key(path: str) -> None:
    from kvmwizard.catalog.public_key import KeyRefused, read_fingerprints  # noqa: PLC0415  -- few give a key

    try:
        read_fingerprints(Path(path))
    except KeyRefused as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
