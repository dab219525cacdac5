"""How a kernel is built, in shell; see `plan.source_shell`."""

from kvmwizard.plan.build_model import BootKernel, CompileKernel, ConfigureKernel, StageKernel
from kvmwizard.plan.shell_words import Lines, here_document, line, quoted

FRAGMENT = "kvmwizard.config"


def configure_kernel(action: ConfigureKernel) -> Lines:
    """The base, the fragment merged in, and every symbol of it looked for afterwards."""
    config, fragment = f"{action.build}/.config", f"{action.build}/{FRAGMENT}"
    symbols = [f"CONFIG_{name}={value}" for name, value in sorted(action.symbols.items())]
    symbols += [f'CONFIG_LOCALVERSION="{action.local_version}"', "CONFIG_LOCALVERSION_AUTO=n"]
    merge = ("scripts/kconfig/merge_config.sh", "-m", "-O", action.build, config, fragment)
    return (
        line("mkdir", "-p", "--", action.build),
        line("cd", "--", action.tree),
        *_reproducible(action.tree),
        *_base(action, config),
        *here_document(f"cat >{quoted(fragment)}", symbols),
        line(*merge),
        _make(action, "olddefconfig"),
        *_symbol_check(config, fragment),
    )


def compile_kernel(action: CompileKernel) -> Lines:
    """The image and the modules."""
    return (
        line("cd", "--", action.tree),
        *_reproducible(action.tree),
        _make(action, f"-j{action.jobs}"),
    )


def stage_kernel(action: StageKernel) -> Lines:
    """Modules and image as they will lie below /."""
    boot, modules = f"{action.stage}/boot", f"{action.stage}/lib/modules/{action.release}"
    return (
        line("rm", "-rf", "--", action.stage),
        line("mkdir", "-p", "--", boot),
        line("cd", "--", action.tree),
        *_reproducible(action.tree),
        f"if grep -q '^CONFIG_MODULES=y' {quoted(f'{action.build}/.config')}; then",
        f"    {_make(action, f'INSTALL_MOD_PATH={action.stage}', 'INSTALL_MOD_STRIP=1', 'modules_install')}",
        f"    {line('rm', '-f', '--', f'{modules}/build', f'{modules}/source')}",
        "fi",
        f"image=$({_make(action, '-s', 'image_name')})",
        f'cp -- {quoted(action.build)}/"$image" {quoted(f"{boot}/vmlinuz-{action.release}")}',
        line("cp", "--", f"{action.build}/System.map", f"{boot}/System.map-{action.release}"),
        line("cp", "--", f"{action.build}/.config", f"{boot}/config-{action.release}"),
    )


def boot_kernel(action: BootKernel) -> Lines:
    """A guest of the new kernel, which must name itself."""
    return ()


def _base(action: ConfigureKernel, config: str) -> Lines:
    if action.base_file is None or action.base == "defconfig":
        return (_make(action, "defconfig"),)
    read = "gzip -dc" if action.base_file.endswith(".gz") else "cat"
    copied = f"{read} -- {quoted(action.base_file)} >{quoted(config)}"
    if action.base != "localmodconfig":
        return (copied,)
    return (copied, f"yes '' | {_make(action, 'localmodconfig')}")


def _symbol_check(config: str, fragment: str) -> Lines:
    """Names what was asked for and is not there; `n` is the absence of a line."""
    return (
        f"grep -v '=n$' {quoted(fragment)} | while IFS= read -r symbol; do",
        f'    grep -qxF -- "$symbol" {quoted(config)} || echo "not in the configuration: $symbol" >&2',
        "done",
    )


def _reproducible(tree: str) -> Lines:
    """Documentation/kbuild/reproducible-builds.rst."""
    return (
        f"seconds=$(stat --format %Y -- {quoted(f'{tree}/Makefile')})",
        "KBUILD_BUILD_TIMESTAMP=$(date --utc --date \"@$seconds\" '+%a %b %d %H:%M:%S UTC %Y')",
        "export KBUILD_BUILD_TIMESTAMP KBUILD_BUILD_USER=kvmwizard KBUILD_BUILD_HOST=kvmwizard "
        'KBUILD_BUILD_VERSION=1 SOURCE_DATE_EPOCH="$seconds" LOCALVERSION=',
    )


def _make(action: ConfigureKernel | CompileKernel | StageKernel, *targets: str) -> str:
    settings = (f"{name}={value}" for name, value in sorted(action.make_variables.items()))
    return line("make", f"O={action.build}", *settings, *targets)
