"""What is known of each version, and the small table that comes with the program."""

import re

from kvmwizard.catalog.catalogue import VersionEntry
from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.mark_words import mark_words
from kvmwizard.catalog.marks import marked
from kvmwizard.catalog.shipped import published_commit, published_sha256, shipped_table
from kvmwizard.catalog.sources import tarball_name
from kvmwizard.catalog.version import parse_version

TODAY = "2026-11-22"
PLAIN = ["7.3-rc2", "7.2.1", "7.2", "7.1.9", "7.0.3", "6.12.117", "6.12.116", "5.4.302", "4.8.5"]


def by_version(entries: tuple[VersionEntry, ...]) -> dict[str, VersionEntry]:
    return {entry.version: entry for entry in entries}


def marks(entries: tuple[VersionEntry, ...]) -> dict[str, tuple[str, ...]]:
    return {entry.version: entry.marks for entry in entries}


def test_newest_first_and_each_once() -> None:
    listed = [Listed(version) for version in [*PLAIN[::-1], *PLAIN]]
    assert [entry.version for entry in marked("linux", listed, TODAY)] == PLAIN


def test_without_kernel_orgs_word_the_shipped_table_tells() -> None:
    found = marks(marked("linux", map(Listed, PLAIN), TODAY))
    assert found == {
        "7.3-rc2": (),
        "7.2.1": ("newest",),
        "7.2": (),
        "7.1.9": (),
        "7.0.3": ("end-of-life",),
        "6.12.117": ("longterm",),
        "6.12.116": (),
        "5.4.302": ("end-of-life",),
        "4.8.5": ("end-of-life", "book"),
    }


def test_kernel_orgs_word_goes_before() -> None:
    heads = [
        Listed("7.2.1", "2026-11-20", "stable"),
        Listed("7.1.9", "2026-11-01", "stable", ended=True),
        Listed("6.12.117", None, "longterm", ended=True),
        Listed("5.4.302", None, "longterm"),
    ]
    entries = marked("linux", [*map(Listed, PLAIN), *heads], TODAY)
    found = marks(entries)
    assert found["7.1.9"] == found["6.12.117"] == found["6.12.116"] == ("end-of-life",)
    assert found["5.4.302"] == ("longterm",)
    assert by_version(entries)["7.2.1"].released == "2026-11-20"


def test_a_line_ends_when_its_month_is_over() -> None:
    entries = [Listed("7.2"), Listed("7.1"), Listed("5.10.251")]
    assert marks(marked("linux", entries, "2026-12-31"))["5.10.251"] == ("longterm",)
    assert marks(marked("linux", entries, "2027-01-01"))["5.10.251"] == ("end-of-life",)


def test_the_end_of_a_line_is_told_for_all_its_versions() -> None:
    entries = by_version(marked("linux", map(Listed, PLAIN), TODAY))
    assert entries["6.12.116"].end_of_life == entries["6.12.117"].end_of_life == "2028-12"
    assert [words.english for words in mark_words(entries["6.12.117"])] == ["long-term until 2028-12"]
    assert [words.english for words in mark_words(entries["4.8.5"])] == [
        "end of life since 2017-01",
        "as in the book",
    ]
    assert [words.english for words in mark_words(entries["7.3-rc2"])] == ["release candidate"]


def test_nothing_is_said_of_qemus_lines() -> None:
    found = marks(marked("qemu", map(Listed, ["10.1.0-rc1", "10.0.0", "2.7.0"]), TODAY))
    assert found == {"10.1.0-rc1": (), "10.0.0": ("newest",), "2.7.0": ("book",)}


def test_the_shipped_table_is_sound() -> None:
    for project in ("linux", "qemu"):
        table = shipped_table(project)
        versions = [each.version for each in table.versions]
        assert len(versions) == len(set(versions))
        assert all(parse_version(version) is not None for version in versions)
        assert table.book in versions
        assert all(re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", line.end_of_life) for line in table.lines.values())
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in table.sha256.values())


def test_the_books_tarballs_have_a_published_sum() -> None:
    for project in ("linux", "qemu"):
        book = parse_version(shipped_table(project).book)
        assert book is not None
        assert published_sha256(project, tarball_name(project, book)) is not None
    assert published_sha256("linux", "linux-4.8.6.tar.xz") is None


def test_the_commit_of_the_books_qemu_is_published() -> None:
    commit = published_commit("qemu", f"v{shipped_table('qemu').book}")
    assert commit is not None
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert published_commit("qemu", "v2.7.99") is None
    assert published_commit("linux", "v4.8.5") is None
