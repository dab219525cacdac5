"""The steps that get a source tree: downloaded and unpacked, fetched by git, or copied."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kvmwizard.answers import (
    GitKernel,
    GitQemu,
    LocalSourceKernel,
    LocalSourceQemu,
    ReleaseKernel,
    ReleaseQemu,
)
from kvmwizard.catalog.costs import Cost
from kvmwizard.catalog.feasibility import unsigned_problem
from kvmwizard.catalog.qemu_flags import submodules
from kvmwizard.catalog.shipped import published_commit, published_sha256
from kvmwizard.catalog.sources import (
    PROJECT_NAMES,
    Key,
    Project,
    Sources,
    checksum_urls,
    signature_urls,
    sources_for,
    tarball_name,
    tarball_urls,
)
from kvmwizard.catalog.version import Version
from kvmwizard.fetch.client import split_address
from kvmwizard.plan.build_model import (
    BuilderAction,
    DetachedSignature,
    DownloadSource,
    FetchTag,
    ListedChecksum,
    ProductMade,
    PublishedChecksum,
    SourceProof,
    TrustedKey,
    UnpackSource,
)
from kvmwizard.plan.identity import UNKNOWN_IDENTITY, asset_digests, identified, identity_of
from kvmwizard.plan.layout import SourceFolder, download_path, repository_path, source_folder, stamp_beside
from kvmwizard.plan.model import Resource, Step
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.setting import PACKAGES_STEP, STEP_PREFIXES, Setting
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say, say_many


@dataclass(frozen=True)
class SourceWish:
    """Which source tree is wanted."""

    project: Project
    source: ReleaseKernel | GitKernel | LocalSourceKernel | ReleaseQemu | GitQemu | LocalSourceQemu
    version: Version
    patches: tuple[str, ...]
    """Below assets."""
    costs: Mapping[str, Cost]

    @property
    def prefix(self) -> str:
        """What the ids of its steps begin with."""
        return STEP_PREFIXES[self.project]


@dataclass(frozen=True)
class SourceTree:
    """A source tree, and how the plan gets it."""

    steps: tuple[Step, ...]
    folder: SourceFolder
    identity: str
    notes: tuple[Words, ...]

    @property
    def ready(self) -> str:
        """The step after which the tree is there."""
        return self.steps[-1].id


def source_tree(setting: Setting, wish: SourceWish) -> SourceTree:
    """The tree that is wanted, patched. Raises PlanRefused."""
    if isinstance(wish.source, LocalSourceKernel | LocalSourceQemu):
        return _copied(setting, wish, wish.source.path)
    try:
        sources = sources_for(wish.project, setting.answers.sources)
    except Refusal as refused:
        raise PlanRefused(refused.words) from refused
    if isinstance(wish.source, GitKernel | GitQemu):
        return _fetched(setting, wish, sources, unverified=wish.source.unverified == wish.version.tag)
    name = tarball_name(wish.project, wish.version)
    return _downloaded(setting, wish, sources, unverified=wish.source.unverified == name)


def build_step(  # noqa: PLR0913  -- one for each thing a step says of itself
    step_id: str,
    title: Words,
    action: BuilderAction,
    cost: Cost,
    *,
    needs: tuple[str, ...] = (),
    uses: tuple[Resource, ...] = (),
) -> Step:
    """A step of the builder's: one action, done once its stamp says so."""
    return Step(
        id=step_id,
        title=title,
        needs=needs,
        root=False,
        uses=uses,
        seconds=cost.seconds,
        disk_bytes=cost.bytes,
        conditions=(ProductMade(path=action.stamp, identity=action.identity),),
        actions=(action,),
    )


def _downloaded(setting: Setting, wish: SourceWish, sources: Sources, *, unverified: bool) -> SourceTree:
    name = tarball_name(wish.project, wish.version)
    download = _download_action(setting, wish, sources, unverified=unverified)
    unpack, folder = _unpack_action(setting, wish, download.path, (download.identity,))
    steps = (
        build_step(
            f"{wish.prefix}.download",
            say("Download {file} and verify it", file=name),
            download,
            wish.costs["download"],
            needs=_waiting(setting, "gpgv", "xz"),
            uses=("network",),
        ),
        build_step(
            f"{wish.prefix}.unpack",
            _unpack_title(name, wish.patches),
            unpack,
            wish.costs["unpack"],
            needs=(f"{wish.prefix}.download", *_waiting(setting, "xz", *_patching(wish))),
        ),
    )
    keys = tuple(key for key in sources.keys if _counts(key, download.proofs))
    note = _trust_note(name, download.urls, keys, unverified=unverified)
    return SourceTree(steps, folder, unpack.identity, (note,))


def _download_action(
    setting: Setting, wish: SourceWish, sources: Sources, *, unverified: bool
) -> DownloadSource:
    name, urls = tarball_name(wish.project, wish.version), tarball_urls(sources, wish.version)
    proofs = _proofs(sources, wish.version)
    problem = None if proofs else unsigned_problem(name, wish.version, wish.source.unverified)
    if problem is not None:
        raise PlanRefused(problem)
    path = download_path(setting.folder, name)
    action = DownloadSource(
        identity=UNKNOWN_IDENTITY,
        stamp=stamp_beside(path),
        project=wish.project,
        version=str(wish.version),
        urls=urls,
        path=path,
        proofs=proofs,
        unverified=unverified,
    )
    # Where nothing may be proved, whom it came from decides what it is.
    return identified(action, (name, *(urls if unverified else ())))


def _fetched(setting: Setting, wish: SourceWish, sources: Sources, *, unverified: bool) -> SourceTree:
    made_from = (*asset_digests(wish.patches), *(sources.git if unverified else ()))
    action = FetchTag(
        identity=UNKNOWN_IDENTITY,
        stamp="",
        project=wish.project,
        urls=sources.git,
        tag=wish.version.tag,
        repository=repository_path(setting.folder, wish.project),
        tree="",
        keys=_trusted(sources.tag_keys),
        unverified=unverified,
        submodules=submodules(str(wish.version)) if wish.project == "qemu" else (),
        patches=wish.patches,
        commit=published_commit(wish.project, wish.version.tag),
    )
    folder = source_folder(setting.folder, wish.project, wish.version, identity_of(action, made_from))
    placed = action.model_copy(update={"tree": folder.source, "stamp": folder.stamp("source")})
    fetch = identified(placed, made_from)
    getting, unpacking = wish.costs["fetch"], wish.costs["unpack"]
    step = build_step(
        f"{wish.prefix}.fetch",
        say(
            "Fetch the tag {tag} of {project} and verify it",
            tag=wish.version.tag,
            project=PROJECT_NAMES[wish.project],
        ),
        fetch,
        Cost(getting.seconds + unpacking.seconds, getting.bytes + unpacking.bytes),
        needs=_waiting(setting, "git", "gpgv", *_patching(wish)),
        uses=("network",),
    )
    note = (
        _trust_note(wish.version.tag, sources.git, sources.tag_keys, unverified=unverified)
        if action.commit is None
        else _commit_note(wish.version.tag, sources.git, action.commit)
    )
    return SourceTree((step,), folder, fetch.identity, (note,))


def _copied(setting: Setting, wish: SourceWish, path: str) -> SourceTree:
    unpack, folder = _unpack_action(setting, wish, path, (path, str(wish.version)))
    step = build_step(
        f"{wish.prefix}.unpack",
        say("Copy or unpack {path} into the build folder", path=path),
        unpack,
        wish.costs["unpack"],
        needs=_waiting(setting, "xz", *_patching(wish)),
    )
    note = say(
        "{path} is yours, so nobody's signature is asked for. It is taken once: to have later changes "
        "taken too, remove {folder} first.",
        path=path,
        folder=folder.path,
    )
    return SourceTree((step,), folder, unpack.identity, (note,))


def _unpack_action(
    setting: Setting, wish: SourceWish, archive: str, made_from: tuple[str, ...]
) -> tuple[UnpackSource, SourceFolder]:
    action = UnpackSource(identity=UNKNOWN_IDENTITY, stamp="", archive=archive, tree="", patches=wish.patches)
    decided_by = (*made_from, *asset_digests(wish.patches))
    folder = source_folder(setting.folder, wish.project, wish.version, identity_of(action, decided_by))
    placed = action.model_copy(update={"tree": folder.source, "stamp": folder.stamp("source")})
    return identified(placed, decided_by), folder


def _waiting(setting: Setting, *tools: str) -> tuple[str, ...]:
    """What a step waits for that uses these programs."""
    return () if setting.has_tools(*tools) else (PACKAGES_STEP,)


def _patching(wish: SourceWish) -> tuple[str, ...]:
    return ("patch",) if wish.patches else ()


def _proofs(sources: Sources, version: Version) -> tuple[SourceProof, ...]:
    proofs: list[SourceProof] = []
    published = published_sha256(sources.project, tarball_name(sources.project, version))
    if published is not None:
        proofs.append(PublishedChecksum(sha256=published))
    lists = checksum_urls(sources, version)
    if lists:
        proofs.append(ListedChecksum(urls=lists, keys=_trusted(sources.checksum_keys)))
    signatures = signature_urls(sources, version)
    if signatures:
        over: Literal["file", "uncompressed"] = "uncompressed" if sources.project == "linux" else "file"
        proofs.append(DetachedSignature(urls=signatures, over=over, keys=_trusted(sources.tarball_keys)))
    return tuple(proofs)


def _trusted(keys: tuple[Key, ...]) -> tuple[TrustedKey, ...]:
    return tuple(TrustedKey(fingerprint=key.fingerprint, file=key.file) for key in keys)


def _counts(key: Key, proofs: tuple[SourceProof, ...]) -> bool:
    return any(
        trusted.fingerprint == key.fingerprint
        for proof in proofs
        if isinstance(proof, ListedChecksum | DetachedSignature)
        for trusted in proof.keys
    )


def _unpack_title(name: str, patches: tuple[str, ...]) -> Words:
    if not patches:
        return say("Unpack {file}", file=name)
    return say_many(
        "Unpack {file}, and apply {count} patch",
        "Unpack {file}, and apply {count} patches",
        len(patches),
        file=name,
    )


def _trust_note(name: str, urls: tuple[str, ...], keys: tuple[Key, ...], *, unverified: bool) -> Words:
    """From where, and whose word counts."""
    servers = _servers(urls)
    if unverified:
        return say(
            "{name} is taken from the first of these that has it: {servers}. You allowed it to be used "
            "although nothing may show that it is genuine.",
            name=name,
            servers=servers,
        )
    return say(
        "{name} is taken from the first of these that has it: {servers}. It counts as genuine only when "
        "one of these keys signed for it: {keys}.",
        name=name,
        servers=servers,
        keys=", ".join(f"{key.owner} ({key.fingerprint})" for key in keys),
    )


def _commit_note(tag: str, urls: tuple[str, ...], commit: str) -> Words:
    return say(
        "{tag} is taken from the first of these that has it: {servers}. It counts as genuine only when it "
        "is the commit that was published: {commit}.",
        tag=tag,
        servers=_servers(urls),
        commit=commit,
    )


def _servers(urls: tuple[str, ...]) -> str:
    """Their names; the whole address of what is no server."""
    return ", ".join(split_address(url).netloc or url for url in urls)
