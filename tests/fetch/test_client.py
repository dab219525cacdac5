"""Asking for texts: from servers with a validator, and from folders of this machine."""

from pathlib import Path

import pytest

from kvmwizard.fetch.client import NOT_MODIFIED, OK, Patience, get_bytes, get_text, prepare
from kvmwizard.fetch.refused import AnswerRefused, FetchRefused
from tests.mirror.faults import Fault
from tests.mirror.mirror import Mirror

SHORT = Patience(tries=2, wait_seconds=0.01, connect_seconds=1, stall_seconds=0.4)


def test_an_unchanged_answer_is_not_sent_again(mirror: Mirror) -> None:
    mirror.layout.write_releases(stable="6.1.9")
    first = get_text(mirror.releases_url)
    assert first.status == OK
    assert first.text is not None
    assert '"6.1.9"' in first.text
    again = get_text(mirror.releases_url, first.etag)
    assert (again.status, again.text, again.etag) == (NOT_MODIFIED, None, first.etag)
    mirror.layout.write_releases(stable="6.1.10")
    assert '"6.1.10"' in (get_text(mirror.releases_url, first.etag).text or "")


def test_a_folder_of_this_machine_is_listed_as_a_server_lists_it(tmp_path: Path) -> None:
    tmp_path.joinpath("v6.x").mkdir()
    tmp_path.joinpath("linux 6.1&.tar.xz").write_bytes(b"")
    listed = get_text(tmp_path.as_uri() + "/")
    assert '<a href="v6.x/">v6.x/</a>' in (listed.text or "")
    assert '<a href="linux%206.1%26.tar.xz">linux 6.1&amp;.tar.xz</a>' in (listed.text or "")
    assert get_text(tmp_path.as_uri() + "/", listed.etag).status == NOT_MODIFIED


def test_a_file_of_this_machine_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a file with spaces, % and #"
    path.write_text("content", encoding="utf-8")
    assert get_text(path.as_uri()).text == "content"
    with pytest.raises(AnswerRefused, match="No such file") as refused:
        get_text((tmp_path / "none").as_uri())
    assert refused.value.status == 404


def test_what_passes_is_asked_again(mirror: Mirror) -> None:
    mirror.layout.write_releases(stable="6.1.9")
    mirror.fault("/releases.json", Fault("status", status=503, times=1))
    assert get_bytes(mirror.releases_url, patience=SHORT)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("status", status=404), "has no http://"),
        (Fault("status", status=500), "answered 500"),
        (Fault("redirect"), "without end"),
        (Fault("stall"), "sent nothing for"),
        (Fault("truncate", after=10), "broke off"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_trouble_is_said(mirror: Mirror, fault: Fault, said: str) -> None:
    mirror.layout.write_releases(stable="6.1.9")
    mirror.fault("/releases.json", fault)
    with pytest.raises(AnswerRefused, match=said):
        get_text(mirror.releases_url, patience=SHORT)


@pytest.mark.parametrize("largest", [10, 1000])
def test_no_answer_is_larger_than_agreed(mirror: Mirror, tmp_path: Path, largest: int) -> None:
    mirror.layout.folder.joinpath("long").write_bytes(b"x" * 1001)
    tmp_path.joinpath("long").write_bytes(b"x" * 1001)
    for url in (f"{mirror.server.url}/long", tmp_path.joinpath("long").as_uri()):
        with pytest.raises(AnswerRefused, match="is larger than"):
            get_bytes(url, largest, SHORT)
        assert len(get_bytes(url, 1001, SHORT)) == 1001


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9/", "127.0.0.1 cannot be reached: Connection refused. Check"),
        ("http://nobody.invalid/", "nobody.invalid cannot be reached: [A-Z]"),
        ("ftp://127.0.0.1/", "is no address of a file on a web server"),
        ("http://", "is no address of a file on a web server"),
        ("-o/tmp/x", "is no address of a file on a web server"),
        ("http://[::1", "is no address of a file on a web server"),
        ("http://two..dots/", "is no address of a file on a web server"),
        ("http://xn--/", "is no address of a file on a web server"),
    ],
)
def test_what_cannot_be_asked_is_said(url: str, said: str) -> None:
    with pytest.raises(AnswerRefused, match=said):
        get_text(url, patience=SHORT)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "names a SOCKS proxy"),
        ("HTTP_PROXY", "gopher://127.0.0.1:70", "a proxy that cannot be used: .*gopher"),
        ("HTTP_PROXY", "http://[::1", "a proxy that cannot be used"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem", "certificates .* cannot be read: No such file"),
    ],
)
def test_settings_of_the_session_that_cannot_be_used_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    prepare.cache_clear()
    monkeypatch.setenv(name, value)
    with pytest.raises(FetchRefused, match=said):
        get_text("http://127.0.0.1:9/", patience=SHORT)
    prepare.cache_clear()
