"""Fetching one tag of a project into a repository of ours, verifying it, and checking it out.

The repository stays, so that a later tag brings only what differs. Nothing is checked out
before its signature was found good, or the person agreed to do without.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.fetch.chain import run_chain
from kvmwizard.fetch.client import host_of
from kvmwizard.fetch.refused import UNPROVEN, FetchRefused
from kvmwizard.fetch.repository import STALL_SECONDS, Git, GitFailed, git, make_repository
from kvmwizard.fetch.signature import Checked, Outcome
from kvmwizard.fetch.space import full_disk, is_full, require_space
from kvmwizard.fetch.submodules import (
    COMMIT,
    Part,
    is_inside,
    listed_submodules,
    refuse_part,
    wrapped,
)
from kvmwizard.fetch.sweep import remove_tree, sweep
from kvmwizard.fetch.tag import check_tag, parse_tag
from kvmwizard.fetch.unfinished import Label, flushing, put_in_place, unfinished_folder
from kvmwizard.fetch.unpack import TOP, apply_patches, extract_argv, only_folder, refuse_root
from kvmwizard.fetch.wishes import TagWish, tag_wish
from kvmwizard.job import Job, Progress, note
from kvmwizard.words import Words, say

TREE_BYTES = 1_600_000_000
"""Linux 6.12's tree; what a tag brings is not known before it came."""


def fetch_tag(job: Job) -> None:
    """The action `fetch-tag`. Raises FetchRefused, OSError."""
    get_tag(tag_wish(job.action), job.progress)


def get_tag(wish: TagWish, progress: Progress, stall_seconds: float = STALL_SECONDS) -> None:
    """Make the tree of the tag. Raises FetchRefused, OSError."""
    refuse_root()
    with git(stall_seconds) as running:
        TagFetch(wish, progress, running).run()


@dataclass
class TagFetch:
    """One tag on its way."""

    _wish: TagWish
    _progress: Progress
    _git: Git

    def run(self) -> None:
        """Fetch, verify, check out. Raises FetchRefused, OSError."""
        wish = self._wish
        make_repository(self._git, wish.repository)
        try:
            url = self._fetch()
            checked = self._verify(url)
            commit = (
                self._git.output(wish.repository, "rev-parse", f"{self._ref}^{{commit}}").decode().strip()
            )
            with unfinished_folder(wish.tree) as folder:
                self._check_out(folder, commit, url)
                made = only_folder(folder, wish.tag)
                swept = sweep(made)
                apply_patches(made, wish.patches, self._progress)
                about = {
                    "commit": commit,
                    "entries": swept.entries,
                    "verified_by": self._evidence(checked, url),
                }
                told = _done_words(wish, checked)
                put_in_place(made, wish.tree, Label(wish.stamp, wish.identity, about, told))
        except GitFailed as failed:
            if is_full(wish.repository):
                raise full_disk(wish.repository) from failed
            raise
        self._progress.tell(told)

    def _evidence(self, checked: Checked, url: str) -> list[dict[str, str | None]]:
        held: list[dict[str, str | None]] = []
        if self._wish.commit is not None:
            held.append({"kind": "published-commit", "fingerprint": None, "owner": None, "url": None})
        if checked.outcome is Outcome.GOOD:
            signer = {"fingerprint": checked.fingerprint, "owner": checked.owner}
            held.append({"kind": "signed-tag", **signer, "url": url})
        return held

    @property
    def _ref(self) -> str:
        return f"refs/tags/{self._wish.tag}"

    def _fetch(self) -> str:
        """Have the tag in the repository, and say where from. Raises FetchRefused."""
        for place, url in enumerate(self._wish.urls, start=1):
            words = say("Fetching {tag} from {host}", tag=self._wish.tag, host=host_of(url))
            try:
                self._fetch_ref(url, f"+{self._ref}:{self._ref}", words)
            except GitFailed as failed:
                note(failed.words.english)
                if is_full(self._wish.repository) or place == len(self._wish.urls):
                    raise self._not_fetched(url) from failed
            else:
                return url
        raise FetchRefused(say("No repository with {tag} is known. Name one.", tag=self._wish.tag))

    def _not_fetched(self, url: str) -> FetchRefused:
        if is_full(self._wish.repository):
            return full_disk(self._wish.repository)
        return GitFailed(
            say(
                "git cannot fetch {tag} from {host}: the log says why. Check the network and the tag's "
                "name, or choose another repository.",
                tag=self._wish.tag,
                host=host_of(url),
            )
        )

    def _fetch_ref(
        self, url: str, ref: str, words: Words, *, depth: tuple[str, ...] = ("--depth=1",)
    ) -> None:
        options = ["--progress", "--no-tags", "--no-recurse-submodules", *depth]
        self._git.watch(
            self._wish.repository,
            *("fetch", *options, "--", url, ref),
            tell=lambda _, done, total: self._progress.tell(words, done, total),
        )

    def _verify(self, url: str) -> Checked:
        """Who signed the tag. Raises FetchRefused where that counts for nothing, and was not agreed to."""
        wish = self._wish
        checked = self._checked()
        commit = self._git.output(wish.repository, "rev-parse", f"{self._ref}^{{commit}}").decode().strip()
        if wish.commit is not None and commit != wish.commit:
            self._forget()
            raise FetchRefused(_other_commit_words(wish.tag, url, commit, wish.commit))
        if checked.outcome is Outcome.GOOD:
            note(f"{wish.tag}: signature of {checked.owner} is good, key {checked.fingerprint}")
        elif checked.outcome is Outcome.BAD or (wish.commit is None and not wish.unverified):
            self._forget()
            raise _refuse_unproven(wish.tag, url, checked)
        return checked

    def _checked(self) -> Checked:
        repository = self._wish.repository
        if self._git.output(repository, "cat-file", "-t", self._ref).strip() != b"tag":
            return Checked(Outcome.NONE)
        tag = parse_tag(self._git.output(repository, "cat-file", "tag", self._ref))
        return Checked(Outcome.NONE) if tag is None else check_tag(tag, self._wish.tag, self._wish.keys)

    def _forget(self) -> None:
        """Keep no name for what must not be used."""
        self._git.output(self._wish.repository, "update-ref", "-d", self._ref)

    def _check_out(self, folder: Path, commit: str, url: str) -> None:
        require_space(folder, TREE_BYTES if "linux" in self._wish.repository.name else TREE_BYTES // 4)
        tree = folder / TOP
        with flushing(folder):
            self._write_tree(commit, tree)
            self._date_top(commit, tree)
            for part in self._parts(commit, tree, url):
                self._add_part(part, tree)

    def _write_tree(self, commit: str, tree: Path) -> None:
        tree.mkdir(parents=True, exist_ok=True)
        words = say("Writing the source of {tag}", tag=self._wish.tag)
        index = tree.parent / f"{tree.name}.index"
        work = ("-c", "core.bare=false", f"--work-tree={tree}")
        self._git.watch(
            self._wish.repository,
            *(*work, "checkout", "--progress", "--force", commit, "--", "."),
            tell=lambda _, done, total: self._progress.tell(words, done, total),
            index=index,
        )
        index.unlink()

    def _date_top(self, commit: str, tree: Path) -> None:
        """Give the files at the top the commit's time, as a tarball's have: builds take their date there."""
        seconds = int(self._git.output(self._wish.repository, "log", "-1", "--format=%ct", commit))
        for path in tree.iterdir():
            os.utime(path, (seconds, seconds), follow_symlinks=False)

    def _parts(self, commit: str, tree: Path, url: str) -> list[Part]:
        """Those of the wanted parts that this version has."""
        wanted = [path for path in self._wish.submodules if is_inside(path)]
        if not wanted:
            return []
        gitmodules = tree / ".gitmodules"
        listed = (
            listed_submodules(gitmodules.read_text(encoding="utf-8", errors="replace"), url)
            if gitmodules.is_file()
            else {}
        )
        parts = []
        for path in wanted:
            fixed = self._commit_of(commit, path) if path in listed else None
            if fixed is not None:
                parts.append(Part(path, fixed, listed[path]))
            elif (part := wrapped(tree, path, url)) is not None:
                parts.append(part)
        return parts

    def _commit_of(self, commit: str, path: str) -> str | None:
        """The commit that the tree names for a submodule: `160000 commit HASH<TAB>PATH` (git-ls-tree(1))."""
        line = self._git.output(self._wish.repository, "ls-tree", commit, "--", path).decode(errors="replace")
        words = line.split()
        known = len(words) > 2 and words[1] == "commit" and COMMIT.fullmatch(words[2])  # noqa: PLR2004  -- see above
        return words[2] if known else None

    def _add_part(self, part: Part, tree: Path) -> None:
        if not any(self._fetch_part(part, url) for url in part.urls):
            raise refuse_part(part.path)
        place = tree / part.path
        # An empty folder stands where a submodule belongs.
        remove_tree(place)
        self._write_tree(part.commit, place)
        if part.overlay is not None and tree.joinpath(part.overlay).is_dir():
            pack = ["tar", "--create", "--file=-", f"--directory={tree / part.overlay}", "."]
            if not run_chain([pack, extract_argv(place)]).good:
                raise refuse_part(part.path)

    def _fetch_part(self, part: Part, url: str) -> bool:
        """Have the part's commit in the repository."""
        repository = self._wish.repository
        if self._git.succeeds(repository, "cat-file", "-e", f"{part.commit}^{{tree}}"):
            return True
        words = say("Fetching {path} from {host}", path=part.path, host=host_of(url))
        kept = f"refs/parts/{part.commit}"
        try:
            self._fetch_ref(url, f"+{part.commit}:{kept}", words)
        except GitFailed:
            # A server need not give single commits: then all it has.
            try:
                self._fetch_ref(url, f"+refs/*:refs/parts/{part.commit}/*", words, depth=())
            except GitFailed:
                return False
        return self._git.succeeds(repository, "cat-file", "-e", f"{part.commit}^{{tree}}")


def _refuse_unproven(tag: str, url: str, checked: Checked) -> FetchRefused:
    if checked.outcome is not Outcome.BAD:
        return FetchRefused(_unproven_words(tag, url, checked), UNPROVEN)
    return FetchRefused(
        say(
            "The signature of {tag} from {host} is false: it is not the tag that {owner} signed. Nothing "
            "was checked out. Choose another repository.",
            tag=tag,
            host=host_of(url),
            owner=checked.owner or checked.fingerprint,
        )
    )


def _unproven_words(tag: str, url: str, checked: Checked) -> Words:
    if checked.outcome is Outcome.UNKNOWN:
        return say(
            "The tag {tag} from {host} is signed by the key {key}, which is not among those that count, so "
            "it is not used. Give the signer's public key, or allow this tag to be used unverified.",
            tag=tag,
            host=host_of(url),
            key=checked.fingerprint,
        )
    return say(
        "Nobody signed the tag {tag} from {host}, so nothing shows that it is what was published. Take the "
        "release's tarball, or allow this tag to be used unverified.",
        tag=tag,
        host=host_of(url),
    )


def _other_commit_words(tag: str, url: str, commit: str, known: str) -> Words:
    return say(
        "The tag {tag} from {host} is another than the one that was published: it points to {commit} and "
        "should point to {known}. Nothing was checked out. Choose another repository.",
        tag=tag,
        host=host_of(url),
        commit=commit,
        known=known,
    )


def _done_words(wish: TagWish, checked: Checked) -> Words:
    tag = wish.tag
    if checked.outcome is not Outcome.GOOD:
        if wish.commit is not None:
            return say("{tag} is here, and is the published commit", tag=tag)
        return say("{tag} is here, unverified", tag=tag)
    return say("{tag} is here, signature of {owner} good", tag=tag, owner=checked.owner)
