"""What the builder's actions are in shell: lines for `sh -eu`, run as the builder.

They come to the same end as the workers, with the same programs. What the workers
do beyond that (resuming, progress, sweeping what was unpacked, asking configure
which options it knows) is not repeated.
"""

from collections.abc import Callable, Iterable
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
from kvmwizard.plan.shell_words import Lines, broken, here_document, indented, line, name, parent, quoted
from kvmwizard.resources import asset_path

GET = (
    "get() {  # into a file, from the first address that has it",
    "    file=$1",
    "    shift",
    "    for url; do",
    '        curl --fail --location --output "$file" -- "$url" && return',
    "    done",
    "    return 1",
    "}",
)
BARE_KEY = "sed '1,/^$/d;/^[=-]/,$d' \"$key\" | base64 --decode"
"""The key without its armour (RFC 4880, section 6.2), which gpgv does not take."""
OWN_APT = (
    "top=$PWD",
    "own_apt() {  # with sources and lists of its own",
    '    apt-get -o Dir::Etc::SourceList="$top/sources.list" -o Dir::Etc::SourceParts=/dev/null \\',
    '        -o Dir::State::Lists="$top/lists" -o Dir::State::Status=/dev/null \\',
    '        -o Dir::Cache="$top/cache" -o Acquire::Languages=none -o APT::Sandbox::User= "$@"',
    "}",
)
OWN_ARCHIVE = (
    "format='$(ORIGIN) $(COMPONENT) $(REPO_URI)'",
    "uri=$(apt-get indextargets --format \"$format\" 'Identifier: Packages' |",
    '    awk \'$1 == "Debian" && $2 == "main" { print $3; exit }\')',
    "signed=",
    "keys=/usr/share/keyrings/debian-archive-keyring.gpg",
    '[ ! -f "$keys" ] || signed="[signed-by=$keys]"',
)
SUBPROJECTS = "subprojects/"
WRAP_KEYS = {"revision": "commit", "url": "url", "patch_directory": "overlay"}
"""Of PATH.wrap (meson's manual, "Wrap format"), and the variables that they are read into."""
SIGNATURE_BEGINS = "/^-----BEGIN PGP SIGNATURE-----$/"


def builder_lines(action: BuilderAction) -> Lines:
    """The shell lines that do what the action does."""
    return _LINES[action.kind](action)


def key_path(key: TrustedKey) -> str:
    """Where the public key lies."""
    return key.file if key.file.startswith("/") else str(asset_path(key.file))


def _download(action: DownloadSource) -> Lines:
    file = name(action.path)
    part = f"{file}.part"
    proofs = [each for proof in action.proofs for each in _PROOFS[proof.kind](proof, file, part)]
    return (
        *GET,
        line("mkdir", "-p", "--", parent(action.path)),
        line("cd", "--", parent(action.path)),
        *broken("get", part, *action.urls),
        "proved=",
        *proofs,
        *(() if action.unverified else ('[ -n "$proved" ]',)),
        line("mv", "-f", "--", part, file),
    )


def _published(proof: PublishedChecksum, _file: str, part: str) -> Lines:
    return (*_sum_check(proof.sha256, part), "proved=yes")


def _listed(proof: ListedChecksum, file: str, part: str) -> Lines:
    signed, text = f"{file}.signed-sums", f"{file}.sums"
    return _if_got(
        signed,
        proof.urls,
        *_keyring(f"{text}.keys", proof.keys),
        *broken("gpgv", "--keyring", f"./{text}.keys", "--output", text, signed),
        f"sum=$(awk -v name={quoted(file)} '$2 == name {{ print $1 }}' {quoted(text)})",
        *_sum_check('"$sum"', part),
    )


def _signed(proof: DetachedSignature, file: str, part: str) -> Lines:
    signature = f"{file}.signature"
    check = ("gpgv", "--keyring", f"./{signature}.keys", signature)
    unpacked = f"{line('xz', '--decompress', '--stdout', part)} |"
    return _if_got(
        signature,
        proof.urls,
        *_keyring(f"{signature}.keys", proof.keys),
        *(broken(*check, part) if proof.over == "file" else (unpacked, *indented(broken(*check, "-")))),
    )


_PROOFS: dict[str, Callable[[Any, str, str], Lines]] = {
    "published-checksum": _published,
    "listed-checksum": _listed,
    "detached-signature": _signed,
}
"""By the proof's kind. Any: each takes its own kind."""


def _if_got(file: str, urls: Iterable[str], *lines: str) -> Lines:
    """What must hold once a proof could be had."""
    first, *rest = broken("get", file, *urls)
    return (f"if {first}", *rest, "then", *indented((*lines, "proved=yes")), "fi")


def _sum_check(sum_word: str, file: str) -> Lines:
    return (f"printf '%s  %s\\n' {sum_word} {quoted(file)} | sha256sum --check -",)


def _unpack(action: UnpackSource) -> Lines:
    new = name(_new(action.tree))
    tar = ("tar", "--extract", "--file", action.archive, "--directory", new, "--strip-components=1")
    return (
        *_new_folder(action.tree),
        f"if [ -d {quoted(action.archive)} ]; then",
        *indented(broken("cp", "-R", "--", f"{action.archive}/.", new)),
        "else",
        *indented(broken(*tar, "--no-same-owner", "--no-same-permissions")),
        "fi",
        *_finished(action.tree, action.patches),
    )


def _fetch(action: FetchTag) -> Lines:
    git = ("git", f"--git-dir={action.repository}")
    reference = f"refs/tags/{action.tag}"
    first, *rest = broken("for", "url", "in", *action.urls)
    return (
        line("mkdir", "-p", "--", parent(action.repository)),
        f"[ -d {quoted(action.repository)} ] ||",
        *indented(broken("git", "init", "--quiet", "--bare", "--", action.repository)),
        first,
        *rest,
        "do",
        *indented(broken(*git, "fetch", "--depth=1", "--no-tags", "--force", "--")[:-1]),
        f'    {broken(*git, "fetch", "--depth=1", "--no-tags", "--force", "--")[-1]} "$url" \\',
        f"        {quoted(f'+{reference}:{reference}')} && break",
        "done",
        *_tag_proof(action, git),
        *_new_folder(action.tree),
        *broken(*git, f"--work-tree={_new(action.tree)}", "checkout", "--force", reference, "--", "."),
        *(each for path in action.submodules for each in _outside_part(path, action, git)),
        *_finished(action.tree, action.patches),
    )


def _tag_proof(action: FetchTag, git: Lines) -> Lines:
    if action.commit is not None:
        tagged = line(*git, "rev-parse", f"refs/tags/{action.tag}^{{commit}}")
        return (f'[ "$({tagged})" = {action.commit} ]',)
    if action.unverified:
        return (line("echo", f"{action.tag} is used unverified, as allowed"),)
    tag = name(action.repository) + ".tag"
    return (
        line("cd", "--", parent(action.repository)),
        f"{line(*git, 'cat-file', 'tag', f'refs/tags/{action.tag}')} >{quoted(tag)}",
        f"sed '{SIGNATURE_BEGINS},$d' {quoted(tag)} >{quoted(f'{tag}.text')}",
        f"sed -n '{SIGNATURE_BEGINS},$p' {quoted(tag)} >{quoted(f'{tag}.sig')}",
        *_keyring(f"{tag}.keys", action.keys),
        *broken("gpgv", "--keyring", f"./{tag}.keys", f"{tag}.sig", f"{tag}.text"),
    )


def _outside_part(path: str, action: FetchTag, git: Lines) -> Lines:
    if path.startswith(SUBPROJECTS):
        return _subproject(path, action)
    return _submodule(path, action, git)


def _submodule(path: str, action: FetchTag, git: Lines) -> Lines:
    """At the commit that the tag names."""
    there = f"{name(_new(action.tree))}/{path}"
    modules = ("git", "config", "--file", f"{name(_new(action.tree))}/.gitmodules")
    return (
        f"commit=$({line(*git, 'rev-parse', '--verify', f'refs/tags/{action.tag}:{path}')})",
        f"url=$({line(*modules, f'submodule.{path}.url')})",
        *_part(there),
    )


def _subproject(path: str, action: FetchTag) -> Lines:
    """At the commit that PATH.wrap names, with the files that the tree puts over it."""
    there = f"{name(_new(action.tree))}/{path}"
    told = {key: f"sed -n 's/^{key} *= *//p' {quoted(f'{there}.wrap')}" for key in WRAP_KEYS}
    overlay = f'{quoted(f"{parent(there)}/packagefiles")}/"$overlay"/.'
    return (
        *(f"{variable}=$({told[key]})" for key, variable in WRAP_KEYS.items()),
        *_part(there),
        f'[ -z "$overlay" ] || cp -R -- {overlay} {quoted(there)}',
    )


def _part(there: str) -> Lines:
    return (
        line("git", "init", "--quiet", "--", there),
        f'{line("git", "-C", there, "fetch", "--depth=1", "--")} "$url" "$commit"',
        f'{line("git", "-C", there, "checkout", "--quiet", "--force")} "$commit"',
        line("rm", "-rf", "--", f"{there}/.git"),
    )


def _unpack_packages(action: UnpackPackages) -> Lines:
    """From the archive that this machine's apt uses, by lists of its own; nothing is installed."""
    folder, program = name(action.folder), "python2.7"
    unpacked = f"{action.folder}/usr"
    start = f'PYTHONHOME={quoted(unpacked)} exec {quoted(f"{unpacked}/bin/{program}")} "$@"'
    return (
        line("mkdir", "-p", "--", parent(action.folder)),
        line("cd", "--", parent(action.folder)),
        line("rm", "-rf", "--", folder),
        line("mkdir", "-p", "--", f"{folder}/apt/lists/partial", f"{folder}/apt/cache/archives/partial"),
        line("cd", "--", f"{folder}/apt"),
        *OWN_APT,
        *OWN_ARCHIVE,
        f'echo "deb $signed $uri {action.suite} main" >sources.list',
        "own_apt update",
        *broken("own_apt", "download", "--", *action.packages),
        "for package in *.deb; do",
        '    dpkg-deb --extract "$package" ..',
        "done",
        "cd ..",
        "rm -rf -- apt",
        *here_document(f"cat >{program}", ("#!/bin/sh", start)),
        f"chmod 0755 {program}",
    )


def _keyring(ring: str, keys: Iterable[TrustedKey]) -> Lines:
    """All public keys in one file, as gpgv wants them (gpgv(1), --keyring)."""
    first, *rest = broken("for", "key", "in", *map(key_path, keys))
    return (first, *rest, "do", f"    {BARE_KEY}", f"done >{quoted(ring)}")


def _new(tree: str) -> str:
    """Where the tree is made before it gets its name."""
    return f"{tree}.new"


def _new_folder(tree: str) -> Lines:
    new = name(_new(tree))
    return (
        line("mkdir", "-p", "--", parent(tree)),
        line("cd", "--", parent(tree)),
        line("rm", "-rf", "--", name(tree), new),
        line("mkdir", "--", new),
    )


def _finished(tree: str, patches: Iterable[str]) -> Lines:
    """The patches applied, and the tree renamed."""
    apply = line("patch", f"--directory={name(_new(tree))}", "--strip=1", "--forward")
    return (
        *(f"{apply} <{quoted(str(asset_path(patch)))}" for patch in patches),
        line("mv", "--", name(_new(tree)), name(tree)),
    )


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
