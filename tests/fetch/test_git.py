"""Tags from a git daemon: verified before they are checked out, and the next one brings only what differs."""

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.fetch.refused import UNPROVEN
from kvmwizard.fetch.repository import GitFailed, git, make_repository
from kvmwizard.fetch.signature import Outcome
from kvmwizard.fetch.submodules import is_inside, listed_submodules, submodule_urls, wrapped
from kvmwizard.fetch.tag import check_tag, parse_tag
from kvmwizard.fetch.wishes import Key
from tests.fetch.workers import Bench, Done
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey


def keys_of(key: SigningKey, folder: Path) -> list[dict[str, str]]:
    """The key as pinned, in a file that the builder may read."""
    public = folder / "key.asc"
    public.write_bytes(key.public.read_bytes())
    public.chmod(0o644)
    return [{"fingerprint": key.fingerprint, "file": str(public)}]


def fetch(builder: Bench, mirror: Mirror, tag: str, **more: object) -> Done:
    action: dict[str, Any] = {
        "kind": "fetch-tag",
        "urls": [mirror.kernel_git],
        "tag": tag,
        "repository": str(builder.folder / "git" / "linux.git"),
        "tree": str(builder.tree),
        "keys": keys_of(mirror.key, builder.folder),
        **more,
    }
    return builder.work(action)


def in_repository(builder: Bench, *arguments: str) -> str:
    """What git says of the builder's repository."""
    safe = ["-c", "safe.directory=*", f"--git-dir={builder.folder}/git/linux.git"]
    command = ["/usr/bin/git", *safe, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_signed_tags_are_fetched_one_after_the_other(
    builder: Bench, mirror: Mirror, small_tree: Path
) -> None:
    mirror.add_kernel_tag("v6.1.9", small_tree)
    done = fetch(builder, mirror, "v6.1.9")
    assert done.returncode == 0, done.log
    assert (
        builder.tree.joinpath("kernel/data").read_bytes() == small_tree.joinpath("kernel/data").read_bytes()
    )
    assert sorted(path.name for path in builder.tree.iterdir()) == ["Makefile", "kernel"]
    made = int(in_repository(builder, "log", "-1", "--format=%ct", "v6.1.9"))
    assert builder.tree.joinpath("Makefile").stat().st_mtime == made
    stamp = builder.read_stamp()
    assert stamp is not None
    assert [proof["fingerprint"] for proof in stamp.about["verified_by"]] == [mirror.key.fingerprint]
    assert stamp.about["commit"] == in_repository(builder, "rev-parse", "v6.1.9^{commit}").strip()

    small_tree.joinpath("Makefile").write_text("VERSION = 6\nPATCHLEVEL = 2\n", encoding="utf-8")
    mirror.add_kernel_tag("v6.2", small_tree)
    before = _packed_bytes(builder)
    assert fetch(builder, mirror, "v6.2").returncode == 0
    assert "PATCHLEVEL = 2" in builder.tree.joinpath("Makefile").read_text(encoding="utf-8")
    # The 400 KB that did not change came once.
    assert _packed_bytes(builder) - before < 50_000
    assert in_repository(builder, "tag").split() == ["v6.1.9", "v6.2"]


def _packed_bytes(builder: Bench) -> int:
    objects = builder.folder / "git" / "linux.git" / "objects"
    return sum(path.stat().st_size for path in objects.rglob("*") if path.is_file())


def test_an_unsigned_tag_is_refused_unless_that_was_agreed_to(
    builder: Bench, mirror: Mirror, small_tree: Path
) -> None:
    mirror.add_kernel_tag("v6.1.9", small_tree, signed=False)
    done = fetch(builder, mirror, "v6.1.9")
    assert "Nobody signed the tag v6.1.9" in done.refused
    assert done.code == UNPROVEN
    assert not builder.tree.exists()
    assert in_repository(builder, "tag") == ""
    assert fetch(builder, mirror, "v6.1.9", unverified=True).returncode == 0
    stamp = builder.read_stamp()
    assert stamp is not None
    assert stamp.about["verified_by"] == []
    assert stamp.told["template"] == "{tag} is here, unverified"


def test_a_tag_changed_behind_its_signature_is_refused_whatever_was_agreed_to(
    builder: Bench, mirror: Mirror, small_tree: Path
) -> None:
    mirror.add_kernel_tag("v6.1.9", small_tree)
    repository = mirror.layout.folder.parent / "git" / "linux.git"
    git_there = ["/usr/bin/git", f"--git-dir={repository}"]
    tag = subprocess.run([*git_there, "cat-file", "tag", "v6.1.9"], check=True, capture_output=True).stdout
    changed = tag.replace(b"\n\n", b"\n\nMore of it. ", 1)
    made = subprocess.run([*git_there, "mktag"], input=changed, check=True, capture_output=True).stdout
    subprocess.run([*git_there, "update-ref", "refs/tags/v6.1.9", made.decode().strip()], check=True)
    done = fetch(builder, mirror, "v6.1.9", unverified=True)
    assert "The signature of v6.1.9 from" in done.refused
    assert "is false" in done.refused
    assert done.code is None
    assert not builder.tree.exists()


def test_a_stranger_s_tag_is_refused_and_the_published_commit_is_as_good_as_a_key(
    builder: Bench, mirror: Mirror, small_tree: Path
) -> None:
    mirror.add_kernel_tag("v6.1.9", small_tree)
    with SigningKey.make() as stranger:
        keys = keys_of(stranger, builder.folder)
    done = fetch(builder, mirror, "v6.1.9", keys=keys)
    assert mirror.key.fingerprint in done.refused
    assert done.code == UNPROVEN
    assert not builder.tree.exists()
    other = fetch(builder, mirror, "v6.1.9", keys=keys, commit="0" * 40).refused
    assert "is another than the one that was published" in other
    assert not builder.tree.exists()
    repository = mirror.layout.folder.parent / "git" / "linux.git"
    command = ["/usr/bin/git", f"--git-dir={repository}", "rev-parse", "v6.1.9^{commit}"]
    commit = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert fetch(builder, mirror, "v6.1.9", keys=keys, commit=commit).returncode == 0


def test_an_old_tag_under_a_new_name_is_found_out(builder: Bench, mirror: Mirror, small_tree: Path) -> None:
    mirror.add_kernel_tag("v6.1.9", small_tree)
    repository = mirror.layout.folder.parent / "git" / "linux.git"
    rename = ["update-ref", "refs/tags/v6.2", "refs/tags/v6.1.9"]
    subprocess.run(["/usr/bin/git", f"--git-dir={repository}", *rename], check=True)
    assert "is not the tag that Release Manager" in fetch(builder, mirror, "v6.2").refused
    assert not builder.tree.exists()


def test_the_next_repository_is_asked_and_the_last_refusal_is_said(
    builder: Bench, mirror: Mirror, small_tree: Path
) -> None:
    mirror.add_kernel_tag("v6.1.9", small_tree)
    dead = "git://127.0.0.1:9/linux.git"
    assert fetch(builder, mirror, "v6.1.9", urls=[dead, mirror.kernel_git]).returncode == 0
    assert "git cannot fetch v6.9 from 127.0.0.1" in fetch(builder, mirror, "v6.9").refused


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch /tmp/kvmwizard-owned'", "--upload-pack=touch /tmp/kvmwizard-owned"]
)
def test_an_address_never_becomes_a_command(builder: Bench, mirror: Mirror, url: str) -> None:
    assert fetch(builder, mirror, "v6.1.9", urls=[url]).returncode == 1
    assert not Path("/tmp/kvmwizard-owned").exists()


def test_submodules_and_wraps_come_with_it(
    builder: Bench, mirror: Mirror, small_tree: Path, tmp_path: Path
) -> None:
    mirror.add_kernel_tag("v1", small_tree)
    part = tmp_path / "part"
    part.mkdir()
    part.joinpath("part.c").write_text("int part;\n", encoding="utf-8")
    repositories = mirror.layout.folder.parent / "git"
    _add(repositories / "dtc.git", "v1", part)
    commit = _commit(repositories / "dtc.git", "v1")

    tree = tmp_path / "qemu"
    tree.joinpath("subprojects/packagefiles/softfloat").mkdir(parents=True)
    tree.joinpath("Makefile").write_text("all:\n", encoding="utf-8")
    tree.joinpath("subprojects/packagefiles/softfloat/meson.build").write_text(
        "project()\n", encoding="utf-8"
    )
    tree.joinpath("subprojects/softfloat.wrap").write_text(
        f"[wrap-git]\nurl = https://gitlab.com/qemu-project/dtc.git\nrevision = {commit}\n"
        "patch_directory = softfloat\n",
        encoding="utf-8",
    )
    tree.joinpath(".gitmodules").write_text(
        '[submodule "dtc"]\n\tpath = dtc\n\turl = git://git.qemu-project.org/dtc.git\n'
        '[submodule "roms/unused"]\n\tpath = roms/unused\n\turl = https://nowhere.invalid/unused.git\n',
        encoding="utf-8",
    )
    _add(repositories / "qemu.git", "v9.1.0", tree, gitlinks={"dtc": commit, "roms/unused": commit})
    done = fetch(
        builder,
        mirror,
        "v9.1.0",
        urls=[mirror.qemu_git],
        unverified=True,
        submodules=["dtc", "subprojects/softfloat", "capstone", "../outside", "-option"],
    )
    assert done.returncode == 0, done.log
    assert builder.tree.joinpath("dtc/part.c").is_file()
    softfloat = builder.tree / "subprojects/softfloat"
    assert sorted(path.name for path in softfloat.iterdir()) == ["meson.build", "part.c"]
    assert list(builder.tree.joinpath("roms/unused").iterdir()) == []


def _add(repository: Path, tag: str, tree: Path, gitlinks: dict[str, str] | None = None) -> None:
    """An unsigned tag of a tree, with commits of other repositories in it."""
    git = ["/usr/bin/git", f"--git-dir={repository}", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["/usr/bin/git", "init", "--quiet", "--bare", str(repository)], check=True)
    subprocess.run([*git, f"--work-tree={tree}", "add", "--all", "."], check=True)
    for path, commit in (gitlinks or {}).items():
        subprocess.run([*git, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}"], check=True)
    subprocess.run([*git, f"--work-tree={tree}", "commit", "--quiet", "--message", tag], check=True)
    subprocess.run([*git, "tag", tag], check=True)


def _commit(repository: Path, tag: str) -> str:
    command = ["/usr/bin/git", f"--git-dir={repository}", "rev-parse", f"{tag}^{{commit}}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    repository = tmp_path / "linux.git"
    with socket.create_server(("127.0.0.1", 0)) as silent, git(stall_seconds=1) as running:
        make_repository(running, repository)
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/linux.git"
        with pytest.raises(GitFailed, match="git got nothing for 1 seconds"):
            running.watch(repository, "fetch", "--progress", "--", url, tell=lambda *_: None)


def test_a_repository_beside_is_asked_first() -> None:
    base = "https://gitlab.com/qemu-project/qemu.git"
    beside = "https://gitlab.com/qemu-project/dtc.git"
    assert submodule_urls("../dtc.git", base) == (beside,)
    assert submodule_urls("git://git.qemu-project.org/dtc.git", base) == (
        beside,
        "git://git.qemu-project.org/dtc.git",
    )
    assert submodule_urls(beside, base) == (beside,)
    assert submodule_urls("../dtc.git", "file:///srv/git/qemu.git/") == ("file:///srv/git/dtc.git",)
    assert (
        submodule_urls("https://host/a/dtc", "git://127.0.0.1:9/qemu.git")[0] == "git://127.0.0.1:9/dtc.git"
    )


def test_odd_submodules_are_left_out() -> None:
    listed = listed_submodules(
        '[submodule "a"]\n\tpath = ../a\n\turl = x\n[submodule "b"]\n\tpath = -b\n\turl = x\n'
        '[submodule "c"]\n\tpath = c\n\turl = https://host/c.git\n[submodule "d"]\n\tpath = d\n',
        "https://other/qemu.git",
    )
    assert list(listed) == ["c"]
    assert listed_submodules("not [a list", "https://other/qemu.git") == {}
    assert not is_inside("a/.git/hooks")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[wrap-file]\nurl = x\n",
        "[wrap-git]\nurl = x\nrevision = head\n",
        "[wrap-git\n",
        f"[wrap-git]\nurl = x\nrevision = {'a' * 40}\npatch_directory = ../../etc\n",
    ],
)
def test_wraps_that_name_no_commit_are_none(tmp_path: Path, text: str) -> None:
    tmp_path.joinpath("part.wrap").write_text(text, encoding="utf-8")
    assert wrapped(tmp_path, "part", "https://other/qemu.git") is None
    assert wrapped(tmp_path, "missing", "https://other/qemu.git") is None


def test_a_tag_is_read_as_git_reads_it(signing_key: SigningKey) -> None:
    key = (Key(signing_key.fingerprint, signing_key.public),)
    content = b"object " + b"a" * 40 + b"\ntype commit\ntag v1\ntagger A <a> 1 +0000\n\nVersion 1\n"
    tag = parse_tag(content)
    assert tag is not None
    assert (tag.name, tag.kind, tag.target, tag.signature) == ("v1", "commit", "a" * 40, b"")
    assert check_tag(tag, "v1", key).outcome is Outcome.NONE
    assert parse_tag(b"tree " + b"a" * 40 + b"\n\ntag v1\n") is None
