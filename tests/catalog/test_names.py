"""Versions out of servers' pages, whatever these hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.names import (
    UnreadableListError,
    directories_of,
    names_in_page,
    names_in_sums,
    releases_in,
    versions_of,
)
from kvmwizard.catalog.tags import tags_in

PAGE = """<html><head><title>Index of /pub/linux/kernel/v6.x/</title></head><body><h1>linux-9.9.tar.xz</h1>
<pre><a href="../">../</a>
<a href="ChangeLog-6.12.1">ChangeLog-6.12.1</a>
<A HREF='linux-6.12.tar.gz'>linux-6.12.tar.gz</A>
<a class="x" href="linux-6.12.tar.xz">linux-6.12.tar.xz</a>
<a href="linux-6.12.tar.sign">linux-6.12.tar.sign</a>
<a href="linux-6.12.1.tar.xz?C=M">linux-6.12.1.tar.xz</a>
<a href="linux%2D6.12.2.tar.xz">linux-6.12.2.tar.xz</a>
<a href="linux-6.12.2.tar.xz">twice</a>
<a href="https://elsewhere.example/linux-6.12.3.tar.xz">elsewhere</a>
<a href="linux-6.12.4.tar.xz%0A">newline</a>
<a href="linux-6.12.5.tar.xz&#27;[31m">escape</a>
<a href="--linux-6.12.6.tar.xz">option</a>
<a href="linux-6.12.7.tar.xz/../../x">climb</a>
<a href="linux-$(reboot).tar.xz">shell</a>
<a href="patch-6.12.xz">patch-6.12.xz</a>
<a>none</a><a href>empty</a><a href="linux-6.13-rc1.tar.gz">candidate</a>
"""

RELEASES: dict[str, Any] = {
    "latest_stable": {"version": "7.2.1"},
    "releases": [
        {"moniker": "mainline", "version": "7.3-rc2", "iseol": False, "released": {"isodate": "2026-11-15"}},
        {"moniker": "stable", "version": "7.2.1", "iseol": False, "released": {"isodate": "2026-11-20"}},
        {"moniker": "stable", "version": "7.1.9", "iseol": True, "released": None},
        {"moniker": "longterm", "version": "6.12.117", "iseol": False, "released": {"isodate": "yesterday"}},
        {"moniker": "linux-next", "version": "next-20261120", "iseol": False, "source": None},
    ],
}


def test_links_alone_count_and_only_names_of_tarballs_that_can_be_had() -> None:
    found = versions_of("linux", names_in_page(PAGE))
    assert [listed.version for listed in found] == ["6.12", "6.12.2", "6.13-rc1"]


def test_qemus_page() -> None:
    names = [
        "qemu-2.7.0.tar.bz2",
        "qemu-2.7.0.tar.xz",
        "qemu-10.1.0.tar.xz",
        "qemu-10.1.0.tar.xz.sig",
        "linux-6.1.tar.xz",
    ]
    assert [listed.version for listed in versions_of("qemu", names)] == ["2.7.0", "10.1.0"]


def test_directories() -> None:
    names = ["../", "v1.0/", "v2.6/", "v6.x/", "v6.x/", "v12.x/", "v6.x/../", "/v5.x/", "vX.x/", "next/"]
    assert directories_of(names) == ["v2.6", "v6.x", "v12.x"]


def test_a_list_of_sums() -> None:
    text = "\n".join(
        [
            "-----BEGIN PGP SIGNED MESSAGE-----",
            "Hash: SHA256",
            "",
            f"{'a' * 64}  linux-6.12.tar.xz",
            f"{'b' * 64}  linux-6.12.1.tar.xz",
            f"{'c' * 64}  linux-6.12.1.tar.gz",
            f"{'d' * 63}  linux-6.12.2.tar.xz",
            f"{'e' * 64}  patch-6.12.3.xz",
            f"{'f' * 64} linux-6.12.4.tar.xz",
            "-----BEGIN PGP SIGNATURE-----",
        ]
    )
    assert [listed.version for listed in versions_of("linux", names_in_sums(text))] == ["6.12", "6.12.1"]


@pytest.mark.parametrize("text", ["", "<html>404</html>", "0" * 64, "\x00" * 1000])
def test_what_is_no_list_of_sums_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UnreadableListError):
        names_in_sums(text)


def test_releases() -> None:
    assert releases_in(json.dumps(RELEASES)) == [
        Listed("7.3-rc2", "2026-11-15", "mainline"),
        Listed("7.2.1", "2026-11-20", "stable"),
        Listed("7.1.9", None, "stable", ended=True),
        Listed("6.12.117", None, "longterm"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"releases": 3}',
        '{"releases": [3]}',
        '{"releases": [{}]}',
        "[" * 100_000,
        "\x00",
    ],
    ids=range(9),
)
def test_what_is_no_releases_json_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UnreadableListError):
        releases_in(text)


def test_tags() -> None:
    lines = [
        f"{'1' * 40}\trefs/tags/v6.12",
        f"{'1' * 64}\trefs/tags/v6.13-rc2",
        f"{'1' * 40}\trefs/tags/v6.12^{{}}",
        f"{'1' * 40}\trefs/tags/v2.6.11-tree",
        f"{'1' * 40}\trefs/tags/6.14",
        f"{'1' * 40}\trefs/heads/v6.15",
        f"{'1' * 40}\trefs/tags/v6.16;reboot",
        f"{'1' * 40}\trefs/tags/v6.17\r",
        f"{'1' * 40} refs/tags/v6.18",
    ]
    assert tags_in("\n".join(lines).encode()) == [Listed("6.12"), Listed("6.13-rc2")]


@given(st.text(max_size=400))
def test_no_page_is_too_strange(text: str) -> None:
    for listed in versions_of("linux", names_in_page(f'<a href="{text}">{text}</a><a href={text}')):
        assert listed.version.isascii()
        assert listed.version.isprintable()
