"""How a kernel is built, in shell; see `plan.source_shell`."""

from collections.abc import Iterable

from kvmwizard.catalog.images import IMAGES
from kvmwizard.plan.build_model import BootKernel, CompileKernel, ConfigureKernel, StageKernel
from kvmwizard.plan.layout import SourceFolder
from kvmwizard.plan.shell_words import Lines, broken, here_document, indented, line, parent, quoted
from kvmwizard.resources import asset_path

BASE, FRAGMENT = "kvmwizard-base.config", "kvmwizard.config"
GUEST_SAYS = "kvmwizard: this kernel runs programs, and is Linux "
"""What our guest's program prints before the release (assets/guest/init.s)."""
COMMAND_LINE = "console=ttyS0,115200 earlyprintk=serial,ttyS0,115200 panic=-1 oops=panic"
"""Everything to the serial port, and what goes wrong is an end (admin-guide/kernel-parameters.txt)."""
CLEARED_TEXTS = (
    r"s/^CONFIG_\(SYSTEM_TRUSTED_KEYS\|SYSTEM_REVOCATION_KEYS\|MODULE_SIG_KEY\)=.*/CONFIG_\1=\"\"/"
)
CLEARED_SWITCHES = r"s/^CONFIG_\(MODULE_SIG_ALL\|MODULE_SIG_FORCE\)=y$/# CONFIG_\1 is not set/"
"""What names keys that only the distribution has (certs/Kconfig)."""


def configure_kernel(action: ConfigureKernel) -> Lines:
    """The base, the fragment merged in, and every symbol of it looked for afterwards."""
    symbols = {**action.symbols, "LOCALVERSION": f'"{action.local_version}"', "LOCALVERSION_AUTO": "n"}
    build = quoted(action.build)
    return (
        line("mkdir", "-p", "--", action.build),
        *_in_tree(action.tree),
        *_base(action),
        line("cd", "--", action.build),
        line("mv", "--", ".config", BASE),
        *here_document(f"cat >{FRAGMENT}", map(_fragment_line, symbols, symbols.values())),
        line("/bin/sh", f"{action.tree}/scripts/kconfig/merge_config.sh", "-m", "-O", ".", BASE, FRAGMENT),
        line("cd", "--", action.tree),
        *_make(action, "olddefconfig"),
        f"grep '^CONFIG' {build}/{FRAGMENT} | while IFS= read -r symbol; do",
        f'    grep -qxF -- "$symbol" {build}/.config || echo "not set: $symbol" >&2',
        "done",
    )


def compile_kernel(action: CompileKernel) -> Lines:
    """The image and the modules."""
    *most, last = _make(action, f"-j{action.jobs}")
    return (
        *_in_tree(action.tree),
        *_image(),
        *_modules(action.build, ("modules=modules",), ("modules=",)),
        *most,
        f'{last} "$target" $modules',
    )


def stage_kernel(action: StageKernel) -> Lines:
    """Modules and image as they will lie below /."""
    boot, modules = f"{action.stage}/boot", f"{action.stage}/lib/modules/{action.release}"
    install = _make(action, f"INSTALL_MOD_PATH={action.stage}", "INSTALL_MOD_STRIP=1", "modules_install")
    links = broken("rm", "-f", "--", f"{modules}/build", f"{modules}/source")
    return (
        line("rm", "-rf", "--", action.stage),
        line("mkdir", "-p", "--", boot),
        *_in_tree(action.tree),
        *_modules(action.build, (*install, *links), _built_in_lists(action.build, modules)),
        *_image(),
        f'cp -- {quoted(action.build)}/"$image" \\',
        f"    {quoted(f'{boot}/vmlinuz-{action.release}')}",
        *broken("cp", "--", f"{action.build}/System.map", f"{boot}/System.map-{action.release}"),
        *broken("cp", "--", f"{action.build}/.config", f"{boot}/config-{action.release}"),
        line("chmod", "-R", "u=rwX,go=rX", "--", action.stage),
    )


def boot_kernel(action: BootKernel) -> Lines:
    """A guest of the new kernel without KVM, which must name itself; see `proof.kernel`."""
    firmware = tuple(word for folder in action.firmware for word in ("-L", folder))
    entries = (
        "dir /dev 0755 0 0",
        "nod /dev/console 0600 0 0 c 5 1",
        "file /init init 0755 0 0",
    )
    arguments = (
        *("-no-user-config", "-nodefaults", "-display", "none", "-serial", "stdio", "-m", "512"),
        *("-no-reboot", "-machine", "accel=tcg", *firmware, "-kernel", action.image),
        *("-initrd", "boot.initramfs", "-append", COMMAND_LINE),
    )
    run = broken("timeout", str(action.seconds), action.qemu, *arguments)
    folder = SourceFolder(parent(action.stamp))
    return (
        line("cd", "--", folder.path),
        line("cp", "--", str(asset_path("guest/init")), "init"),
        *here_document("cat >boot.list", entries),
        f"{line(f'{folder.build}/usr/gen_init_cpio')} boot.list >boot.initramfs",
        *run[:-1],
        f"{run[-1]} >boot.log || :",
        f"tr -d '\\r' <boot.log | grep -xF {quoted(f'{GUEST_SAYS}{action.release}')}",
    )


def _base(action: ConfigureKernel) -> Lines:
    if action.base_file is None or action.base == "defconfig":
        return _make(action, "defconfig")
    config = quoted(f"{action.build}/.config")
    clear = line("sed", "-e", CLEARED_TEXTS, "-e", CLEARED_SWITCHES)
    read = "gzip -dc" if action.base_file.endswith(".gz") else "cat"
    copied = (f"{read} -- {quoted(action.base_file)} |", f"    {clear} >{config}")
    if action.base != "localmodconfig":
        return copied
    return (
        *copied,
        *_make(action, "olddefconfig"),
        "if [ -s /proc/modules ]; then",
        *indented(_make(action, "LSMOD=/proc/modules", "localmodconfig")),
        "fi",
    )


def _built_in_lists(build: str, modules: str) -> Lines:
    """With which kmod knows what is built in (modules.builtin in modprobe(8))."""
    return (
        "for list in modules.builtin modules.builtin.modinfo; do",
        f'    [ ! -f {quoted(build)}/"$list" ] ||',
        f'        install -D {quoted(build)}/"$list" {quoted(modules)}/"$list"',
        "done",
    )


def _image() -> Lines:
    """What make is asked for, and where it leaves it."""
    cases = (f"{machine}) target={image.target} image={image.path} ;;" for machine, image in IMAGES.items())
    return ("case $(uname -m) in", *indented(cases), "esac")


def _modules(build: str, with_modules: Iterable[str], without: Iterable[str]) -> Lines:
    """What is done for a kernel with modules, and for one without."""
    return (
        f"if grep -q '^CONFIG_MODULES=y' {quoted(f'{build}/.config')}; then",
        *indented(with_modules),
        "else",
        *indented(without),
        "fi",
    )


def _fragment_line(name: str, value: str) -> str:
    """As in a .config."""
    return f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"


def _in_tree(tree: str) -> Lines:
    """With the settings that make two builds equal (Documentation/kbuild/reproducible-builds.rst)."""
    return (
        line("cd", "--", tree),
        "seconds=$(stat --format %Y Makefile)",
        "KBUILD_BUILD_TIMESTAMP=$(date -u -d \"@$seconds\" '+%a %b %d %H:%M:%S UTC %Y')",
        "export KBUILD_BUILD_TIMESTAMP SOURCE_DATE_EPOCH=$seconds LOCALVERSION=",
        "export KBUILD_BUILD_USER=kvmwizard KBUILD_BUILD_HOST=kvmwizard KBUILD_BUILD_VERSION=1",
    )


def _make(action: ConfigureKernel | CompileKernel | StageKernel, *targets: str) -> Lines:
    settings = (f"{name}={value}" for name, value in sorted(action.make_variables.items()))
    return broken("make", f"O={action.build}", *settings, *targets)
