"""`kvmwizard versions`: what can be built here, and from where the list is.

All tags are listed without waiting for what reads the machine: git's own answer is
most of the time that takes.
"""

from typing import TYPE_CHECKING

from kvmwizard.catalog.catalogue import Catalogue
from kvmwizard.catalog.listing import list_tags, list_versions
from kvmwizard.catalog.search import MOST_SHOWN, Found, VersionIndex
from kvmwizard.catalog.sources import Given, Project, Sources, sources_for
from kvmwizard.commands.directory import asked_state_directory
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.given_sources import check_given_sources, with_given_sources
from kvmwizard.commands.output import complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.versions_text import newest_lines, origin_words, rows
from kvmwizard.paths import cache_directory
from kvmwizard.refusal import Refusal
from kvmwizard.words import say, say_many

if TYPE_CHECKING:  # pydantic takes longer than git
    from kvmwizard.catalog.adviser import Verdict

PROJECTS: dict[str, Project] = {"kernel": "linux", "qemu": "qemu"}


def run(options: Options) -> ExitCode:
    """List the versions; none that match is not good. Raises CommandRefused."""
    project = PROJECTS[options.project]
    try:
        sources = sources_for(project, _given(options))
    except Refusal as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
    ask = list_tags if options.tags else list_versions
    catalogue = ask(project, sources, cache_directory(), offline=options.offline)
    if options.json:
        return _show_json(catalogue, sources, options)
    for notice in catalogue.notices:
        complain(notice)
    return _show_text(catalogue, options)


def _given(options: Options) -> Given:
    """What the options give, and otherwise what the person answered. Raises CommandRefused."""
    check_given_sources(options)
    if not (asked_state_directory(options) / "session.json").exists():
        return options
    from kvmwizard.answers import SourcesAnswer  # noqa: PLC0415  -- only where something was answered
    from kvmwizard.commands.saved import State  # noqa: PLC0415  -- as above

    answers = with_given_sources(State.of(options).session().answers, options)
    return answers.sources or SourcesAnswer()


def _found(catalogue: Catalogue, options: Options, limit: int | None) -> Found:
    """What was asked for: the matches of a search, all tags, or the newest of each line."""
    entries = catalogue.entries
    if options.search is not None:
        index = VersionIndex(entries)
        return index.search(options.search, len(entries) if limit is None else limit)
    if options.tags or limit is None:
        return Found(entries, len(entries))
    return Found(newest_lines(entries), len(entries))


def _verdicts(catalogue: Catalogue, found: Found, options: Options) -> "dict[str, Verdict]":
    """What this machine's tools make of each version; not asked where all tags are listed."""
    if options.tags and options.search is None:
        return {}
    from kvmwizard.catalog.adviser import advise, tools_of  # noqa: PLC0415  -- as its docstring says
    from kvmwizard.commands.machine import read_machine  # noqa: PLC0415  -- as above

    tools = tools_of(read_machine())
    return {entry.version: advise(catalogue.project, entry.version, tools) for entry in found.entries}


def _show_json(catalogue: Catalogue, sources: Sources, options: Options) -> ExitCode:
    found = _found(catalogue, options, limit=None)
    verdicts = _verdicts(catalogue, found, options) if options.search is not None else {}
    show_json(
        {
            "project": catalogue.project,
            "origin": catalogue.origin,
            "age_seconds": catalogue.age_seconds,
            "notices": catalogue.notices,
            "servers": sources.git if options.tags else sources.bases,
            "keys": [
                {"fingerprint": key.fingerprint, "owner": key.owner, "signs": key.signs}
                for key in sources.keys
            ],
            "versions": [
                {
                    "version": entry.version,
                    "tag": entry.tag,
                    "released": entry.released,
                    "marks": entry.marks,
                    "candidate": entry.candidate,
                    "end_of_life": entry.end_of_life,
                    "verdict": _verdict_json(verdicts.get(entry.version)),
                }
                for entry in found.entries
            ],
        }
    )
    return ExitCode.GOOD if found.entries else ExitCode.NOT_GOOD


def _verdict_json(verdict: "Verdict | None") -> dict[str, object] | None:
    if verdict is None:
        return None
    return {
        "outcome": verdict.outcome,
        "words": verdict.words,
        "reasons": verdict.reasons,
        "remedies": [remedy.id for remedy in verdict.remedies],
    }


def _show_text(catalogue: Catalogue, options: Options) -> ExitCode:
    found = _found(catalogue, options, MOST_SHOWN)
    if not found.entries:
        complain(
            say(
                "None of the {count} versions has {text} in its number or its marks.",
                count=len(catalogue.entries),
                text=options.search or "",
            )
        )
        return ExitCode.NOT_GOOD
    show("\n".join(rows(found.entries, _verdicts(catalogue, found, options), width(), tags=options.tags)))
    show()
    show(origin_words(catalogue))
    if len(found.entries) < found.total:
        show(
            say_many(
                "Shown is {count} of {total}. --search TEXT finds others, --json lists all.",
                "Shown are {count} of {total}. --search TEXT finds others, --json lists all.",
                len(found.entries),
                total=found.total,
            )
        )
    return ExitCode.GOOD
