"""What puts a built tree in place and takes it away, in shell: lines for root.

The root helper checks every file against what was built, and keeps a list of what
it installed; a script that somebody reads and runs does without.
"""

from kvmwizard.plan.build_model import LISTS_OF_TREES, InstallTree, RemoveTree, SetDefaultBoot, SetNextBoot
from kvmwizard.plan.shell_words import Lines, broken, here_document, indented, line, parent, quoted

FIND_ENTRY = (
    "grub=/boot/grub/grub.cfg",
    r"""menu=$(sed -n "s/^submenu .* '\(gnulinux-advanced-[^']*\)' {\$/\1>/p" $grub | head -n 1)""",
    "entry() {  # the id of a kernel's ordinary entry",
    r'''    found="s/^[[:space:]]*menuentry .* '\(gnulinux-$1-advanced-[^']*\)' {\$/\1/p"''',
    '    sed -n "$found" $grub | head -n 1',
    "}",
)
REMOVE_LISTED = (
    "import hashlib, json, os, sys",
    "listed = json.load(open(sys.argv[1]))",
    "for path, _, _, digest in listed['files']:",
    "    if os.path.isfile(path) and hashlib.sha256(open(path, 'rb').read()).hexdigest() == digest:",
    "        os.unlink(path)",
    "os.unlink(sys.argv[1])",
)
"""What is no longer what was installed stays."""


def install_tree(action: InstallTree) -> Lines:
    """The staged files, owned by root, and what the distribution does for a new kernel."""
    stage = f"{parent(action.payload)}/stage"
    if action.release is None:
        return (
            line("mkdir", "-p", "--", action.prefix),
            *broken("cp", "-R", "--", f"{stage}{action.prefix}/.", action.prefix),
        )
    if action.as_package:
        return _install_package(action, stage)
    return _install_kernel(action.release, stage)


def remove_tree(action: RemoveTree) -> Lines:
    """By the package manager where it owns the tree, else by root's list of it."""
    listed = f"{LISTS_OF_TREES}/{action.name}.json"
    release = action.name.removeprefix("linux-image-")
    return (
        f"if dpkg-query --show -- {quoted(action.name)} >/dev/null 2>&1; then",
        f"    {line('dpkg', '--purge', '--', action.name)}",
        f"elif [ -f {quoted(listed)} ]; then",
        f"    {here_document(f'python3 -I - {quoted(listed)}', ())[0]}",
        *here_document("", REMOVE_LISTED)[1:],
        *(() if release == action.name else indented(_hooks(release, "postrm"))),
        "fi",
    )


def set_next_boot(action: SetNextBoot) -> Lines:
    """By the ids of GRUB's menu entries (grub-mkconfig's 10_linux)."""
    return (
        *FIND_ENTRY,
        f'grub-set-default "$menu$(entry {quoted(action.otherwise)})"',
        f'grub-reboot "$menu$(entry {quoted(action.release)})"',
    )


def set_default_boot(action: SetDefaultBoot) -> Lines:
    """As above, and only for the kernel that runs."""
    return (
        *FIND_ENTRY,
        f'[ "$(uname -r)" = {quoted(action.release)} ]',
        f'grub-set-default "$menu$(entry {quoted(action.release)})"',
    )


def _install_kernel(release: str, stage: str) -> Lines:
    modules = f"/lib/modules/{release}"
    return (
        f"cp -- {quoted(f'{stage}/boot')}/* /boot",
        f"if [ -d {quoted(stage + modules)} ]; then",
        *indented((line("rm", "-rf", "--", modules), *broken("cp", "-R", "--", stage + modules, modules))),
        "fi",
        line("depmod", release),
        *_hooks(release, "postinst"),
    )


def _install_package(action: InstallTree, stage: str) -> Lines:
    """Made of the files alone, with scripts that run the distribution's own hooks."""
    release = action.release or ""
    after = ("#!/bin/sh", "set -e", line("depmod", release), *_hooks(release, "postinst"))
    removed = ("#!/bin/sh", "set -e", *_hooks(release, "postrm"))
    control = (
        f"Package: {action.name}",
        "Version: 1",
        "Architecture: $(dpkg --print-architecture)",
        "Maintainer: root <root@localhost>",
        "Description: built from source on this machine by kvmwizard",
    )
    return (
        "package=$(mktemp -d)",
        'chmod 0755 "$package"',
        f'cp -R -- {quoted(stage)}/. "$package"',
        'mkdir -- "$package/DEBIAN"',
        'cat >"$package/DEBIAN/control" <<END_OF_CONTROL',
        *control,
        "END_OF_CONTROL",
        *here_document('cat >"$package/DEBIAN/postinst"', after),
        *here_document('cat >"$package/DEBIAN/postrm"', removed),
        'chmod 0755 "$package/DEBIAN/postinst" "$package/DEBIAN/postrm"',
        'dpkg-deb --root-owner-group -Znone --build "$package" "$package.deb"',
        'dpkg --install "$package.deb"',
        'rm -rf -- "$package" "$package.deb"',
    )


def _hooks(release: str, moment: str) -> Lines:
    """What the distribution has for new and for removed kernels: initramfs, boot menu."""
    folder = f"/etc/kernel/{moment}.d"
    return (
        f"if [ -d {folder} ]; then",
        *indented(broken("run-parts", f"--arg={release}", f"--arg=/boot/vmlinuz-{release}", folder)),
        "fi",
    )
