"""Which versions there are, for worker threads: asking takes as long as servers do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kvmwizard.answers import SourcesAnswer
from kvmwizard.catalog.catalogue import Catalogue
from kvmwizard.catalog.listing import list_tags, list_versions
from kvmwizard.catalog.sources import Project, Sources, sources_for
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words

Form = Literal["release", "git"]
"""Versions as tarballs, or as tags of a repository."""


@dataclass(frozen=True)
class Listing:
    """A list of versions, and where from."""

    catalogue: Catalogue
    sources: Sources
    answer: SourcesAnswer | None
    """What the sources were made of."""


def list_project(
    project: Project, form: Form, answer: SourcesAnswer | None, cache: Path, *, offline: bool = False
) -> Listing | Words:
    """The versions of the project; or why the settings cannot be used.

    Args:
        project: whose versions.
        form: what of them there must be.
        answer: the person's servers and keys.
        cache: the folder in which lists are kept.
        offline: ask no server: the list that was kept, or the one that came with the program.
    """
    ask = list_tags if form == "git" else list_versions
    try:
        sources = sources_for(project, answer)
        return Listing(ask(project, sources, cache, offline=offline), sources, answer)
    except Refusal as refused:
        return refused.words
