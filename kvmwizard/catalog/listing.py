"""Which versions of Linux and QEMU there are: asked of the servers, kept, or from the shipped table.

kernel.org lists the releases of a directory in sha256sums.asc, with a hundredth of the
words of its page; the page is asked where a mirror has no such file. Nothing that is
listed is believed but that it can be tried: what is downloaded is verified then.
"""

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kvmwizard.catalog.asking import Asked
from kvmwizard.catalog.cache import ListCache
from kvmwizard.catalog.catalogue import Catalogue
from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.marks import marked
from kvmwizard.catalog.names import (
    UnreadableListError,
    directories_of,
    names_in_page,
    names_in_sums,
    releases_in,
    versions_of,
)
from kvmwizard.catalog.shipped import shipped_table
from kvmwizard.catalog.sources import Project, Sources, linux_directory
from kvmwizard.catalog.tags import TagsQuestion, TagsRefused
from kvmwizard.catalog.version import parse_version
from kvmwizard.fetch.refused import AnswerRefused
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say

LISTING_SECONDS = 25.0
"""For the whole list of releases: what was not answered by then comes from the cache."""

TAGS_SECONDS = 90.0
"""For the tags of one repository."""

NOT_THERE = frozenset({403, 404, 410})
"""HTTP's statuses for a file or a page that a server does not have, or shows to nobody."""

INDEX = "/"
"""Names the page that leads to kernel.org's directories; QEMU's only page."""

RELEASES = "releases.json"

Reader = Callable[[str], tuple[list[Listed], list[str]]]
"""The versions and the directories in a text. Raises UnreadableListError."""


@dataclass(frozen=True)
class Part:
    """One part of a list: what it holds, or why it could not be had."""

    listed: tuple[Listed, ...] = ()
    directories: tuple[str, ...] = ()
    time: float | None = None
    """When this was true, in seconds since 1970; None where it holds nothing."""
    asked: bool = False
    """It was asked for now, and answered."""
    refusal: Words | None = None
    """Why it could not be asked now; None where it was asked, or was not to be."""
    absent: bool = False
    """It was asked for, and there is no such thing on the servers."""


def list_versions(
    project: Project, sources: Sources, cache_directory: Path, *, offline: bool = False
) -> Catalogue:
    """The releases that the sources have, newest first.

    What cannot be asked comes from the cache, else from the shipped table; the
    notices say so. It takes at most LISTING_SECONDS.

    Args:
        project: whose releases.
        sources: where to ask.
        cache_directory: the program's own cache.
        offline: ask nobody.
    """
    cache = ListCache(cache_directory)
    if not offline:
        _prepare(sources)
    parts = _Questions(sources, cache, offline=offline).parts()
    return _catalogue(project, parts, cache)


def list_tags(
    project: Project,
    sources: Sources,
    cache_directory: Path,
    *,
    offline: bool = False,
    question: TagsQuestion | None = None,
) -> Catalogue:
    """The versions that the first git repository that answers has tags of, newest first.

    Otherwise as `list_versions`, within TAGS_SECONDS.

    Args:
        project: whose tags.
        sources: where to ask.
        cache_directory: the program's own cache.
        offline: ask nobody.
        question: what the first repository has been asked already, if it has.
    """
    cache = ListCache(cache_directory)
    refusal = None
    deadline = time.monotonic() + TAGS_SECONDS
    for address in () if offline else sources.git:
        try:
            asked = question if question is not None and not refusal else TagsQuestion(address)
            listed = tuple(asked.answer(max(1.0, deadline - time.monotonic())))
        except TagsRefused as refused:
            refusal = refusal or refused.words
            continue
        cache.keep(address, None, listed)
        return _catalogue(project, {INDEX: Part(listed=listed, time=time.time(), asked=True)}, cache)
    kept = _kept_part(cache, sources.git)
    return _catalogue(project, {INDEX: replace(kept, refusal=refusal)}, cache)


class _Questions:
    """The parts that a list of releases is asked for."""

    def __init__(self, sources: Sources, cache: ListCache, *, offline: bool) -> None:
        self._sources = sources
        self._cache = cache
        self._offline = offline
        self._asked: Asked[str, Part] = Asked(LISTING_SECONDS)
        self._addresses: dict[str, list[str]] = {}

    def parts(self) -> dict[str, Part]:
        """Each part by its name: INDEX, RELEASES, or a directory of kernel.org's."""
        sources = self._sources
        self._ask(INDEX, [f"{base}/" for base in sources.bases], self._page)
        if sources.project == "linux":
            for directory in _shipped_directories():
                self._ask_directory(directory)
            if sources.releases is not None:
                self._ask(RELEASES, [sources.releases], self._releases)
            index = self._asked.wait_for(INDEX)
            for directory in index.directories if isinstance(index, Part) else ():
                self._ask_directory(directory)
        return {name: self._as_part(name, answer) for name, answer in self._asked.wait().items()}

    def _ask_directory(self, directory: str) -> None:
        addresses = [
            *(f"{base}/{directory}/sha256sums.asc" for base in self._sources.bases),
            *(f"{base}/{directory}/" for base in self._sources.bases),
        ]
        self._ask(directory, addresses, self._directory)

    def _ask(self, name: str, addresses: list[str], question: Callable[[list[str]], Part]) -> None:
        self._addresses[name] = addresses
        self._asked.ask({name: partial(question, addresses)})

    def _as_part(self, name: str, answer: Part | Refusal) -> Part:
        """The answer, or what was kept where there was none in time."""
        if isinstance(answer, Part):
            return answer
        return replace(_kept_part(self._cache, self._addresses[name]), refusal=answer.words)

    def _page(self, addresses: list[str]) -> Part:
        return self._part(addresses, _page_reader(self._sources.project))

    def _releases(self, addresses: list[str]) -> Part:
        return self._part(addresses, _read_releases)

    def _directory(self, addresses: list[str]) -> Part:
        """A directory of releases: by its list of sums; by its page where servers have no such list."""
        sums = self._part([each for each in addresses if not each.endswith("/")], _read_sums)
        if not sums.absent:
            return sums
        return self._part([each for each in addresses if each.endswith("/")], _page_reader("linux"))

    def _part(self, addresses: list[str], read: Reader) -> Part:
        """What the first address that answers holds, else what was kept of one of them."""
        refusal = None
        absent = False
        for address in () if self._offline else addresses:
            try:
                return self._asked_now(address, read)
            except AnswerRefused as refused:
                absent = absent or refused.status in NOT_THERE
                refusal = refusal or refused.words
            except UnreadableListError:
                refusal = refusal or say(
                    "What {address} answers is no list of versions. Choose another mirror.", address=address
                )
        if absent:
            return Part(refusal=refusal, absent=True)
        return replace(_kept_part(self._cache, addresses), refusal=refusal)

    def _asked_now(self, address: str, read: Reader) -> Part:
        from kvmwizard.fetch.client import NOT_MODIFIED, get_text  # noqa: PLC0415  -- see `_prepare`

        kept = self._cache.read(address)
        fetched = get_text(address, kept.etag if kept is not None else None)
        if fetched.status == NOT_MODIFIED and kept is not None:
            self._cache.confirm(address)
            return Part(listed=kept.listed, directories=kept.directories, time=time.time(), asked=True)
        listed, directories = read(fetched.text or "")
        self._cache.keep(address, fetched.etag, tuple(listed), tuple(directories))
        return Part(listed=tuple(listed), directories=tuple(directories), time=time.time(), asked=True)


def _kept_part(cache: ListCache, addresses: Iterable[str]) -> Part:
    """What was kept of one of the addresses, the newest of it; empty where nothing was."""
    kept = [each for each in map(cache.read, addresses) if each is not None]
    if not kept:
        return Part()
    newest = max(kept, key=lambda each: each.time)
    return Part(listed=newest.listed, directories=newest.directories, time=newest.time)


def _page_reader(project: Project) -> Reader:
    def read(text: str) -> tuple[list[Listed], list[str]]:
        names = names_in_page(text)
        return versions_of(project, names), directories_of(names) if project == "linux" else []

    return read


def _read_sums(text: str) -> tuple[list[Listed], list[str]]:
    return versions_of("linux", names_in_sums(text)), []


def _read_releases(text: str) -> tuple[list[Listed], list[str]]:
    return releases_in(text), []


def _shipped_directories() -> list[str]:
    """Directories that are asked without waiting for the page that names them."""
    versions = (parse_version(known.version) for known in shipped_table("linux").versions)
    return list(dict.fromkeys(linux_directory(version) for version in versions if version is not None))


def _prepare(sources: Sources) -> None:
    """Read the certificates once, before threads all do it at the same time."""
    from kvmwizard.fetch.client import prepare  # noqa: PLC0415  -- tags are listed without it, and sooner

    if any(base.startswith("http") for base in sources.bases):
        # Where that is refused, so is each question, and the list is taken from elsewhere.
        with contextlib.suppress(Refusal):
            prepare()


def _catalogue(project: Project, parts: Mapping[str, Part], cache: ListCache) -> Catalogue:
    """What the parts hold together, and what is to be said of them."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    lists = [part for name, part in parts.items() if part.listed and name != RELEASES]
    times = [part.time for part in lists if part.time is not None]
    reasons = [part.refusal for part in parts.values() if part.refusal is not None]
    if not times:
        notice = _shipped_notice(project, reasons)
        entries = marked(project, _shipped(project), today)
        return Catalogue(project, entries, "shipped", None, (*cache.notices, notice))
    listed = [version for part in parts.values() for version in part.listed]
    present = {version.version for version in listed}
    # For the days of their release, which a directory does not tell.
    listed += [version for version in _shipped(project) if version.version in present]
    age = max(0.0, time.time() - min(times))
    if not any(part.asked for part in lists):
        notice = _kept_notice(_day(min(times)), reasons)
        return Catalogue(project, marked(project, listed, today), "cache", age, (*cache.notices, notice))
    failed = {name: part for name, part in parts.items() if part.refusal is not None and not part.absent}
    listed += [
        version
        for version in _shipped(project)
        if _directory_of(version) in {name for name, part in failed.items() if not part.listed}
    ]
    notices = (*cache.notices, *(_partial_notice(name, part) for name, part in failed.items()))
    return Catalogue(project, marked(project, listed, today), "live", age, notices)


def _shipped(project: Project) -> list[Listed]:
    return [Listed(known.version, known.released) for known in shipped_table(project).versions]


def _directory_of(listed: Listed) -> str | None:
    version = parse_version(listed.version)
    return None if version is None else linux_directory(version)


def _day(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()


def _shipped_notice(project: Project, reasons: list[Words]) -> Words:
    day = shipped_table(project).as_of
    if reasons:
        return say(
            "The list of versions could not be had. {reason} Shown are some that were known on {day}.",
            reason=reasons[0],
            day=day,
        )
    return say(
        "No list of versions has been kept on this machine. Shown are some that were known on {day}.", day=day
    )


def _kept_notice(day: str, reasons: list[Words]) -> Words:
    if reasons:
        return say(
            "The list of versions could not be had now. {reason} Shown is the list of {day}.",
            reason=reasons[0],
            day=day,
        )
    return say("Nobody was asked. Shown is the list of {day}.", day=day)


def _partial_notice(name: str, part: Part) -> Words:
    """What is missing, or older than the rest, and why."""
    reason = part.refusal or ""
    if part.time is not None:
        return say(
            "What is shown of {part} is of {day}. {reason}",
            part=_name_of(name),
            day=_day(part.time),
            reason=reason,
        )
    if name == INDEX:
        return say("Lines newer than this program may be missing. {reason}", reason=reason)
    if name == RELEASES:
        return say(
            "Which lines are maintained is told as far as it was known before. {reason}", reason=reason
        )
    return say("Of {part}, only some versions are shown. {reason}", part=name, reason=reason)


def _name_of(name: str) -> Words | str:
    return say("the list of lines") if name == INDEX else name
