"""`kvmwizard versions`, and the options that say where sources come from, as a person uses them."""

import json
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.answers import Answers, SourcesAnswer
from kvmwizard.session import Session, SessionStore
from tests.cli.command import kvmwizard
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey

OPTIONS = {
    "--kernel-mirror": "mirror.example.org",
    "--kernel-git": "ext::sh -c reboot",
    "--qemu-mirror": "https://mirror.example.org/a b",
    "--qemu-git": "-u",
}


@pytest.fixture
def stocked(mirror: Mirror) -> Mirror:
    series = mirror.layout.kernels / "v6.x"
    series.mkdir()
    for version in ("6.12.9", "6.12.10", "6.18.1"):
        (series / f"linux-{version}.tar.xz").touch()
    mirror.layout.sign_sums(series)
    mirror.layout.write_releases(stable="6.18.1", longterm=["6.12.10"])
    for name in ("qemu-2.7.0.tar.bz2", "qemu-10.1.0.tar.xz"):
        (mirror.layout.qemus / name).touch()
    return mirror


def as_json(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document


def test_versions_to_read(tmp_path: Path, stocked: Mirror) -> None:
    listed = kvmwizard(tmp_path, "versions", "kernel", "--kernel-mirror", stocked.kernel_url)
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = listed.stdout.splitlines()
    assert lines[0].startswith("6.18.1")
    assert "newest" in lines[0]
    assert lines[1].startswith("6.12.10")
    assert "long-term until 2028-12" in lines[1]
    assert "6.12.9" not in listed.stdout, "an older one of a line that is shown"
    assert "3 versions, asked just now." in lines
    assert "Shown are 2 of 3." in lines[-1]
    assert all(len(line) <= 80 for line in lines)


def test_versions_for_programs(tmp_path: Path, stocked: Mirror) -> None:
    listed = kvmwizard(tmp_path, "versions", "qemu", "--json", "--qemu-mirror", stocked.qemu_url)
    document = as_json(listed.stdout)
    assert [entry["version"] for entry in document["versions"]] == ["10.1.0", "2.7.0"]
    assert document["versions"][1] == {
        "version": "2.7.0",
        "tag": "v2.7.0",
        "released": "2016-09-02",
        "marks": ["book"],
        "candidate": False,
        "end_of_life": None,
        "verdict": None,
    }
    assert (document["origin"], document["notices"]) == ("live", [])
    assert document["servers"] == [stocked.qemu_url]
    assert all(len(key["fingerprint"]) == 40 for key in document["keys"])


def test_a_search_tells_what_this_machine_makes_of_each(tmp_path: Path, stocked: Mirror) -> None:
    mirror = ("--kernel-mirror", stocked.kernel_url)
    document = as_json(
        kvmwizard(tmp_path, "versions", "kernel", "--search", "6.12", "--json", *mirror).stdout
    )
    assert [entry["version"] for entry in document["versions"]] == ["6.12.10", "6.12.9"]
    assert all(entry["verdict"]["outcome"] for entry in document["versions"])
    text = kvmwizard(tmp_path, "versions", "kernel", "--search", "lts", *mirror).stdout
    assert text.startswith("6.12.10")
    nothing = kvmwizard(tmp_path, "versions", "kernel", "--search", "$(reboot)", *mirror)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "None of the 3 versions has $(reboot)" in nothing.stderr


def test_offline_the_kept_list_is_shown_and_told(tmp_path: Path, stocked: Mirror) -> None:
    mirror = ("--kernel-mirror", stocked.kernel_url)
    kvmwizard(tmp_path, "versions", "kernel", *mirror)
    kept = tmp_path / ".cache/kvmwizard/catalog"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept.iterdir())
    before = len(stocked.requests)
    offline = kvmwizard(tmp_path, "versions", "kernel", "--offline", *mirror)
    assert offline.returncode == 0
    assert "Nobody was asked." in offline.stderr
    assert "3 versions, of a list that is" in offline.stdout
    assert len(stocked.requests) == before
    nothing_kept = kvmwizard(tmp_path / "other home", "versions", "kernel", "--offline", *mirror)
    assert "known on" in nothing_kept.stderr
    assert "of the list that comes with this program" in nothing_kept.stdout


@pytest.mark.parametrize(
    ("variables", "options", "said"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:1080"}, (), "names a SOCKS proxy"),
        ({"SSL_CERT_FILE": "/nowhere/certificates.pem"}, (), "SSL_CERT_FILE"),
        ({}, ("--kernel-mirror", "http://[::1"), "is no address of a file on a web server"),
    ],
    ids=["proxy", "certificates", "address"],
)
def test_what_keeps_servers_from_being_asked_is_said_beside_the_shipped_list(
    tmp_path: Path, variables: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    listed = kvmwizard(tmp_path, "versions", "kernel", *options, env=variables)
    assert listed.returncode == 0
    assert said in listed.stderr
    assert "of the list that comes with this program" in listed.stdout


def test_all_tags_are_listed(tmp_path: Path, mirror: Mirror) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "VERSION").write_text("10.1.0\n")
    for tag in ("v10.1.0", "v2.7.0", "v10.2.0-rc1"):
        mirror.add_qemu_tag(tag, tree, signed=False)
    listed = kvmwizard(tmp_path, "versions", "qemu", "--tags", "--qemu-git", mirror.qemu_git)
    assert listed.stderr == ""
    assert [line.split()[0] for line in listed.stdout.splitlines()[:3]] == [
        "v10.2.0-rc1",
        "v10.1.0",
        "v2.7.0",
    ]
    gone = kvmwizard(tmp_path, "versions", "qemu", "--tags", "--qemu-git", f"file://{tmp_path}/none.git")
    assert gone.returncode == 0
    assert "git cannot list the tags of file://" in gone.stderr


def test_what_was_answered_counts_where_nothing_is_given(tmp_path: Path, stocked: Mirror) -> None:
    state = tmp_path / "state"
    answers = Answers(sources=SourcesAnswer(qemu_mirror=stocked.qemu_url))
    SessionStore(state).save(Session(answers=answers))
    listed = kvmwizard(tmp_path, "versions", "qemu", "--json", "--state-dir", state)
    assert as_json(listed.stdout)["servers"] == [stocked.qemu_url]
    other = f"file://{stocked.layout.qemus}"
    listed = kvmwizard(tmp_path, "versions", "qemu", "--json", "--state-dir", state, "--qemu-mirror", other)
    assert as_json(listed.stdout)["servers"] == [other]
    assert SessionStore(state).load().session.answers == answers, "versions changes nothing"


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("versions", "kernel"), "--kernel-mirror"),
        (("versions", "qemu"), "--qemu-git"),
        (("plan",), "--kernel-git"),
        (("apply", "--yes"), "--qemu-mirror"),
        ((), "--kernel-mirror"),
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, command: tuple[str, ...], option: str) -> None:
    value = OPTIONS[option]
    refused = kvmwizard(tmp_path, *command, "--state-dir", tmp_path / "state", f"{option}={value}")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f'{option} is "{value}", but must be the address of a git repository'
    ) or (
        refused.stderr.startswith(f'{option} is "{value}", but must be an address that begins with https://')
    )
    assert not (tmp_path / "state/session.json").exists()


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear sir")
    for path, said in ((tmp_path / "none.asc", "no key file"), (tmp_path / "letter", "no public key")):
        refused = kvmwizard(tmp_path, "versions", "qemu", "--offline", "--qemu-key", path)
        assert refused.returncode == 2
        assert said in refused.stderr


def test_a_key_of_ones_own_is_shown_by_its_fingerprint(tmp_path: Path, signing_key: SigningKey) -> None:
    listed = kvmwizard(tmp_path, "versions", "qemu", "--offline", "--json", "--qemu-key", signing_key.public)
    assert signing_key.fingerprint in {key["fingerprint"] for key in as_json(listed.stdout)["keys"]}


def test_the_wizard_keeps_the_servers_that_were_given(tmp_path: Path, signing_key: SigningKey) -> None:
    state = tmp_path / "state"
    SessionStore(state).save(Session(answers=Answers(sources=SourcesAnswer(qemu_git="file:///srv/qemu.git"))))
    given = ("--kernel-mirror", "http://127.0.0.1:1/", "--kernel-key", signing_key.public)
    kvmwizard(tmp_path, "--state-dir", state, *given)
    assert SessionStore(state).load().session.answers.sources == SourcesAnswer(
        kernel_mirror="http://127.0.0.1:1/",
        kernel_key=str(signing_key.public),
        qemu_git="file:///srv/qemu.git",
    )


def test_a_plan_uses_the_servers_that_are_given(tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(
        json.dumps(
            {
                "qemu": {"qemu": {"source": "release", "version": "7.2.22"}},
                "kernel": {"kernel": {"source": "keep"}},
            }
        )
    )
    given = ("--qemu-mirror", "http://127.0.0.1:1/qemu", "--state-dir", tmp_path / "state")
    planned = kvmwizard(tmp_path, "plan", "--json", "--answers", answers, *given)
    assert "http://127.0.0.1:1/qemu/qemu-7.2.22.tar.xz" in planned.stdout, planned.stderr
    assert "download.qemu.org" not in planned.stdout
