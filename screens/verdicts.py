"""What this machine's tools make of a version, and what vouches for it, as parts of an explanation."""

from kvmwizard.catalog.adviser import Verdict
from kvmwizard.catalog.catalogue import Catalogue, VersionEntry
from kvmwizard.catalog.mark_words import mark_words
from kvmwizard.catalog.shipped import published_commit
from kvmwizard.catalog.sources import Key, Sources
from kvmwizard.plan.spans import span_words
from kvmwizard.words import _
from screens.listing import Form
from screens.widgets.entries import Part

JUST_NOW_SECONDS = 60


def verdict_parts(verdict: Verdict) -> tuple[Part, ...]:
    """The verdict in a sentence, then each remedy, each reason and each way out."""
    parts = [Part(_("Here"), str(verdict.words))]
    parts += [Part(_("Needs"), str(remedy.title)) for remedy in verdict.remedies]
    if verdict.outcome == "other-toolchain":
        parts += [Part(_("Why"), str(reason)) for reason in verdict.reasons]
        parts += [Part(_("To do"), str(way)) for way in verdict.ways]
    return tuple(parts)


def marks_text(entry: VersionEntry) -> str:
    """The marks of a version, as words."""
    return ", ".join(map(str, mark_words(entry)))


def key_parts(sources: Sources, form: Form, entry: VersionEntry) -> tuple[Part, ...]:
    """What proves the version: a published commit, or whose signatures count, with their fingerprints."""
    commit = published_commit(sources.project, entry.tag) if form == "git" else None
    if commit is not None:
        return (Part(_("Commit"), _("{commit}, as published", commit=commit)),)
    if form == "release" and sources.project == "linux" and entry.candidate:
        return (Part(_("Key"), _("None: nobody signs tarballs of release candidates.")),)
    keys = sources.tag_keys if form == "git" else (*sources.checksum_keys, *sources.tarball_keys)
    return tuple(Part(_("Key") if not index else _("or"), text) for index, text in enumerate(key_texts(keys)))


def key_texts(keys: tuple[Key, ...]) -> tuple[str, ...]:
    """Each key's owner and fingerprint; a person's own keys first."""
    ordered = sorted(keys, key=lambda key: not key.file.startswith("/"))
    return tuple(dict.fromkeys(f"{key.owner} {key.fingerprint}" for key in ordered))


def age_text(catalogue: Catalogue) -> str:
    """Where the list is from, and how old it is."""
    age = catalogue.age_seconds
    if catalogue.origin == "shipped" or age is None:
        return _("the list that came with kvmwizard")
    if catalogue.origin == "cache":
        return _("from the cache, {span} old", span=span_words(age))
    if age < JUST_NOW_SECONDS:
        return _("listed just now")
    return _("listed {span} ago", span=span_words(age))
