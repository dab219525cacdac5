"""Where the sources come from, and whose keys count."""

from pathlib import Path

import pytest

from kvmwizard.answers import SourcesAnswer
from kvmwizard.catalog.public_key import KeyRefused, fingerprints, read_fingerprints
from kvmwizard.catalog.sources import (
    Project,
    checksum_urls,
    linux_directory,
    signature_urls,
    sources_for,
    tarball_name,
    tarball_urls,
)
from kvmwizard.catalog.version import Version, parse_version
from kvmwizard.resources import asset_path
from tests.mirror.signing import SigningKey

CDN = "https://cdn.kernel.org/pub/linux/kernel"
PROJECTS: tuple[Project, ...] = ("linux", "qemu")
AUTOSIGNER = "B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1"


def version(text: str) -> Version:
    parsed = parse_version(text)
    assert parsed is not None
    return parsed


def test_linux_comes_from_kernel_org_first() -> None:
    sources = sources_for("linux", None)
    wanted = version("4.8.5")
    assert tarball_urls(sources, wanted)[0] == f"{CDN}/v4.x/linux-4.8.5.tar.xz"
    assert checksum_urls(sources, wanted)[0] == f"{CDN}/v4.x/sha256sums.asc"
    assert signature_urls(sources, wanted)[0] == f"{CDN}/v4.x/linux-4.8.5.tar.sign"
    assert len(tarball_urls(sources, wanted)) == len(sources.bases) > 1


@pytest.mark.parametrize(
    ("text", "directory"),
    [("7.2", "v7.x"), ("3.0.101", "v3.x"), ("2.6.39.4", "v2.6"), ("2.4.37", "v2.4"), ("10.1", "v10.x")],
)
def test_the_directory_of_a_version(text: str, directory: str) -> None:
    assert linux_directory(version(text)) == directory


def test_a_candidate_of_linux_is_signed_by_nobody() -> None:
    sources = sources_for("linux", None)
    wanted = version("7.3-rc2")
    assert tarball_urls(sources, wanted) == ("https://git.kernel.org/torvalds/t/linux-7.3-rc2.tar.gz",)
    assert checksum_urls(sources, wanted) == signature_urls(sources, wanted) == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("10.1.0", "qemu-10.1.0.tar.xz"),
        ("10.1.0-rc2", "qemu-10.1.0-rc2.tar.xz"),
        ("2.9.0", "qemu-2.9.0.tar.xz"),
        ("2.7.0", "qemu-2.7.0.tar.bz2"),
        ("1.0", "qemu-1.0.tar.gz"),
    ],
)
def test_qemu_is_packed_as_it_was_at_its_time(text: str, name: str) -> None:
    sources = sources_for("qemu", None)
    assert tarball_name("qemu", version(text)) == name
    assert tarball_urls(sources, version(text)) == (f"https://download.qemu.org/{name}",)
    assert signature_urls(sources, version(text)) == (f"https://download.qemu.org/{name}.sig",)
    assert checksum_urls(sources, version(text)) == ()


def test_a_mirror_of_ones_own_stands_in_place_of_all_others() -> None:
    answer = SourcesAnswer(
        kernel_mirror="http://127.0.0.1:8000/pub/linux/kernel/", kernel_git="file:///srv/linux.git"
    )
    sources = sources_for("linux", answer)
    assert sources.bases == ("http://127.0.0.1:8000/pub/linux/kernel",)
    assert sources.git == ("file:///srv/linux.git",)
    assert sources.releases == "http://127.0.0.1:8000/releases.json"
    for text in ("6.12.104", "7.3-rc2"):
        assert all(url.startswith(sources.bases[0]) for url in tarball_urls(sources, version(text)))
    assert sources_for("qemu", answer) == sources_for("qemu", None)


def test_a_mirror_of_the_releases_alone_may_have_a_list_beside_them() -> None:
    answer = SourcesAnswer(kernel_mirror="https://mirrors.example.org/kernel")
    assert sources_for("linux", answer).releases == "https://mirrors.example.org/kernel/releases.json"


@pytest.mark.parametrize("project", PROJECTS)
def test_every_shipped_key_is_the_one_that_it_is_said_to_be(project: Project) -> None:
    for key in sources_for(project, None).keys:
        assert key.fingerprint in read_fingerprints(asset_path(key.file)), key.owner


def test_who_signs_what() -> None:
    linux, qemu = sources_for("linux", None), sources_for("qemu", None)
    assert [key.fingerprint for key in linux.checksum_keys] == [AUTOSIGNER]
    assert AUTOSIGNER not in {key.fingerprint for key in (*linux.tarball_keys, *linux.tag_keys)}
    assert [key.owner for key in qemu.tarball_keys] == ["Michael Roth"]
    assert "Michael Roth" in {key.owner for key in qemu.tag_keys}


def test_a_key_of_ones_own_counts_for_everything(signing_key: SigningKey) -> None:
    sources = sources_for("qemu", SourcesAnswer(qemu_key=str(signing_key.public)))
    for keys in (sources.checksum_keys, sources.tarball_keys, sources.tag_keys):
        assert (signing_key.fingerprint, str(signing_key.public)) in {
            (key.fingerprint, key.file) for key in keys
        }
    assert signing_key.fingerprint not in {key.fingerprint for key in sources_for("linux", None).keys}


def test_an_unarmored_key_is_read_too(signing_key: SigningKey) -> None:
    armored = signing_key.public.read_bytes()
    assert fingerprints(armored) == (signing_key.fingerprint,)
    assert fingerprints(armored + armored) == (signing_key.fingerprint,)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        b"<html></html>",
        b"\x99\xff\xff",
        b"\xff" * 100,
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n%%%\n-----END PGP PUBLIC KEY BLOCK-----\n",
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n-----END PGP PRIVATE KEY BLOCK-----\n",
    ],
    ids=range(8),
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "my key.asc"
    path.write_bytes(content)
    with pytest.raises(KeyRefused) as refused:
        read_fingerprints(path)
    assert str(path) in refused.value.words.english


def test_a_key_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    whole = asset_path("keys/michael-roth.asc").read_bytes()
    path = tmp_path / "cut.asc"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KeyRefused):
        read_fingerprints(path)


def test_a_key_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("/dev/zero")):
        with pytest.raises(KeyRefused) as refused:
            sources_for("linux", SourcesAnswer(kernel_key=str(path)))
        assert "no key file" in refused.value.words.english
