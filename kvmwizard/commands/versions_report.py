"""The list of versions, printed."""

from typing import TYPE_CHECKING

from kvmwizard.catalog.catalogue import Catalogue
from kvmwizard.catalog.listing import list_tags, list_versions
from kvmwizard.catalog.search import MOST_SHOWN, Found, VersionIndex
from kvmwizard.catalog.sources import Sources
from kvmwizard.catalog.tags import TagsQuestion
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.output import complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.versions_text import newest_lines, origin_words, rows
from kvmwizard.paths import cache_directory
from kvmwizard.words import say, say_many

if TYPE_CHECKING:  # pydantic takes longer than git
    from kvmwizard.catalog.adviser import Verdict


def report(sources: Sources, question: TagsQuestion | None, options: Options) -> ExitCode:
    """Print the list that was asked for, and what is to be said of it. Raises CommandRefused."""
    catalogue = _catalogue(sources, question, options)
    if options.json:
        return _show_json(catalogue, sources, options)
    for notice in catalogue.notices:
        complain(notice)
    return _show_text(catalogue, options)


def _catalogue(sources: Sources, question: TagsQuestion | None, options: Options) -> Catalogue:
    cache, offline = cache_directory(), options.offline
    if options.tags:
        return list_tags(sources.project, sources, cache, offline=offline, question=question)
    return list_versions(sources.project, sources, cache, offline=offline)


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
    from kvmwizard.catalog.adviser import advise, tools_of  # noqa: PLC0415  -- the tags alone need neither
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
        "certain": verdict.certain,
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
