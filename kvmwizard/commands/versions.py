"""`kvmwizard versions`: what can be built here, and from where the list is.

git is asked for tags first of all, so that it is at work while the rest is read in.
"""

from kvmwizard.catalog.sources import Given, Project, Sources, sources_for
from kvmwizard.catalog.tags import TagsQuestion, TagsRefused
from kvmwizard.commands.directory import asked_state_directory
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.given_sources import check_given_sources, with_given_sources
from kvmwizard.commands.parser import Options
from kvmwizard.refusal import Refusal

PROJECTS: dict[str, Project] = {"kernel": "linux", "qemu": "qemu"}


def run(options: Options) -> ExitCode:
    """List the versions; none that match is not good. Raises CommandRefused."""
    try:
        sources = sources_for(PROJECTS[options.project], _given(options))
    except Refusal as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
    question = _early_question(sources) if options.tags and not options.offline else None
    from kvmwizard.commands.versions_report import report  # noqa: PLC0415  -- git is at work meanwhile

    return report(sources, question, options)


def _given(options: Options) -> Given:
    """What the options give, and otherwise what the person answered. Raises CommandRefused."""
    check_given_sources(options)
    if not (asked_state_directory(options) / "session.json").exists():
        return options
    from kvmwizard.answers import SourcesAnswer  # noqa: PLC0415  -- only where something was answered
    from kvmwizard.commands.saved import State  # noqa: PLC0415  -- as above

    answers = with_given_sources(State.of(options).session().answers, options)
    return answers.sources or SourcesAnswer()


def _early_question(sources: Sources) -> TagsQuestion | None:
    """What the first repository is asked; None where there is no git, which is told later."""
    try:
        return TagsQuestion(sources.git[0])
    except TagsRefused:
        return None
