"""What the builder's actions are in shell: lines for `sh -eu`, run as the builder.

They come to the same end as the workers, with the same programs. What the workers
do beyond that (resuming, progress, sweeping what was unpacked, asking configure
which options it knows) is not repeated.
"""

import shlex
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from kvmwizard.plan.build_model import (
    BuilderAction,
    DetachedSignature,
    DownloadSource,
    FetchTag,
    ListedChecksum,
    PublishedChecksum,
    TrustedKey,
    UnpackPackages,
    UnpackSource,
)
from kvmwizard.plan.kernel_shell import boot_kernel, compile_kernel, configure_kernel, stage_kernel
from kvmwizard.plan.qemu_shell import compile_qemu, configure_qemu, stage_qemu
from kvmwizard.plan.shell_words import Lines, indented, line, parent, quoted
from kvmwizard.resources import asset_path

GET = (
    'get() { file=$1; shift; for url; do curl --fail --location --output "$file" -- "$url" && return; done; '
    "return 1; }"
)
"""Into a file, from the first address that has it."""
SIGNATURE_BEGINS = "/^-----BEGIN PGP SIGNATURE-----$/"


def builder_lines(action: BuilderAction) -> Lines:
    """The shell lines that do what the action does."""
    return _LINES[action.kind](action)


def _download(action: DownloadSource) -> Lines:
    part = f"{action.path}.part"
    proofs = [each for proof in action.proofs for each in _PROOFS[proof.kind](proof, action.path, part)]
    required = () if action.unverified else ('[ -n "$proved" ]',)
    return (
        GET,
        line("mkdir", "-p", "--", parent(action.path)),
        line("get", part, *action.urls),
        "proved=",
        *proofs,
        *required,
        line("mv", "-f", "--", part, action.path),
    )


def _published(proof: PublishedChecksum, _path: str, part: str) -> Lines:
    return (f"printf '%s  %s\\n' {proof.sha256} {quoted(part)} | sha256sum --check -", "proved=yes")


def _listed(proof: ListedChecksum, path: str, part: str) -> Lines:
    signed, text, ring = f"{path}.sums.asc", f"{path}.sums", f"{path}.sums.keys"
    name = quoted(PurePosixPath(path).name)
    return (
        f"if {line('get', signed, *proof.urls)}; then",
        *indented(
            (
                _keyring(ring, proof.keys),
                line("gpgv", "--keyring", ring, "--output", text, signed),
                f"sum=$(awk -v name={name} '$2 == name {{ print $1 }}' {quoted(text)})",
                f"printf '%s  %s\\n' \"$sum\" {quoted(part)} | sha256sum --check -",
                "proved=yes",
            )
        ),
        "fi",
    )


def _signed(proof: DetachedSignature, path: str, part: str) -> Lines:
    signature, ring = f"{path}.signature", f"{path}.signature.keys"
    check = ("gpgv", "--keyring", ring, signature)
    over_file = line(*check, part)
    over_content = f"{line('xz', '--decompress', '--stdout', part)} | {line(*check, '-')}"
    return (
        f"if {line('get', signature, *proof.urls)}; then",
        *indented(
            (
                _keyring(ring, proof.keys),
                over_file if proof.over == "file" else over_content,
                "proved=yes",
            )
        ),
        "fi",
    )


_PROOFS: dict[str, Callable[[Any, str, str], Lines]] = {
    "published-checksum": _published,
    "listed-checksum": _listed,
    "detached-signature": _signed,
}
"""By the proof's kind. Any: each takes its own kind."""


def _unpack(action: UnpackSource) -> Lines:
    new = f"{action.tree}.new"
    archive = quoted(action.archive)
    tar = ("tar", "--extract", "--file", action.archive, "--directory", new, "--strip-components=1")
    return (
        *_new_folder(action.tree, new),
        f"if [ -d {archive} ]; then",
        f"    cp -R -- {archive}/. {quoted(new)}",
        "else",
        f"    {line(*tar, '--no-same-owner', '--no-same-permissions')}",
        "fi",
        *_patches(action.patches, new),
        line("mv", "--", new, action.tree),
    )


def _fetch(action: FetchTag) -> Lines:
    new, git = f"{action.tree}.new", ("git", f"--git-dir={action.repository}")
    reference = f"refs/tags/{action.tag}"
    fetch = (*git, "fetch", "--depth=1", "--no-tags", "--force", "--")
    return (
        line("mkdir", "-p", "--", parent(action.repository)),
        f"[ -d {quoted(action.repository)} ] || {line('git', 'init', '--quiet', '--bare', '--', action.repository)}",
        f"for url in {shlex.join(action.urls)}; do",
        f'    {line(*fetch)} "$url" {quoted(f"+{reference}:{reference}")} && break',
        "done",
        *_tag_proof(action, git),
        *_new_folder(action.tree, new),
        line(*git, f"--work-tree={new}", "checkout", "--force", reference, "--", "."),
        *(each for path in action.submodules for each in _submodule(path, reference, new, git)),
        *_patches(action.patches, new),
        line("mv", "--", new, action.tree),
    )


def _tag_proof(action: FetchTag, git: Lines) -> Lines:
    if action.unverified:
        return (f"echo {quoted(f'{action.tag} is used unverified, as allowed')}",)
    tag, text = f"{action.repository}.tag", f"{action.repository}.tag.text"
    signature, ring = f"{action.repository}.tag.sig", f"{action.repository}.tag.keys"
    return (
        f"{line(*git, 'cat-file', 'tag', f'refs/tags/{action.tag}')} >{quoted(tag)}",
        f"sed '{SIGNATURE_BEGINS},$d' {quoted(tag)} >{quoted(text)}",
        f"sed -n '{SIGNATURE_BEGINS},$p' {quoted(tag)} >{quoted(signature)}",
        _keyring(ring, action.keys),
        line("gpgv", "--keyring", ring, signature, text),
    )


def _submodule(path: str, reference: str, new: str, git: Lines) -> Lines:
    """Where this version has it, at the commit that the tag names."""
    there = f"{new}/{path}"
    of_it = ("git", "-C", there)
    modules = ("git", "config", "--file", f"{new}/.gitmodules", f"submodule.{path}.url")
    return (
        f"if commit=$({line(*git, 'rev-parse', '--verify', '--quiet', f'{reference}:{path}')}); then",
        *indented(
            (
                f"url=$({line(*modules)})",
                line("git", "init", "--quiet", "--", there),
                f'{line(*of_it, "fetch", "--depth=1", "--")} "$url" "$commit"',
                f'{line(*of_it, "checkout", "--quiet", "--force")} "$commit"',
                line("rm", "-rf", "--", f"{there}/.git"),
            )
        ),
        "fi",
    )


def _unpack_packages(action: UnpackPackages) -> Lines:
    return ()


def _keyring(ring: str, keys: Iterable[TrustedKey]) -> str:
    """Gpgv takes keys as they are, without armour (gpgv(1), --keyring)."""
    files = shlex.join(key_path(key) for key in keys)
    bare = "sed '1,/^$/d;/^[=-]/,$d' \"$key\" | base64 --decode"
    return f"for key in {files}; do {bare}; done >{quoted(ring)}"


def key_path(key: TrustedKey) -> str:
    """Where the public key lies."""
    return key.file if key.file.startswith("/") else str(asset_path(key.file))


def _new_folder(tree: str, new: str) -> Lines:
    return (line("rm", "-rf", "--", tree, new), line("mkdir", "-p", "--", new))


def _patches(patches: Iterable[str], tree: str) -> Lines:
    apply = line("patch", f"--directory={tree}", "--strip=1", "--forward")
    return tuple(f"{apply} <{quoted(str(asset_path(patch)))}" for patch in patches)


_LINES: dict[str, Callable[[Any], Lines]] = {
    "download-source": _download,
    "unpack-source": _unpack,
    "fetch-tag": _fetch,
    "unpack-packages": _unpack_packages,
    "configure-kernel": configure_kernel,
    "compile-kernel": compile_kernel,
    "boot-kernel": boot_kernel,
    "stage-kernel": stage_kernel,
    "configure-qemu": configure_qemu,
    "compile-qemu": compile_qemu,
    "stage-qemu": stage_qemu,
}
"""By the action's kind. Any: each takes its own kind."""
