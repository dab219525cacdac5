"""How a QEMU is built, in shell; see `plan.source_shell`."""

from kvmwizard.plan.build_model import CompileQemu, ConfigureQemu, StageQemu
from kvmwizard.plan.shell_words import Lines, broken, here_document, indented, line, parent, quoted
from kvmwizard.resources import asset_path

INSTALLED = "meson-info/intro-installed.json"
"""What will be installed, as meson lists it (Meson's manual, IDE integration)."""
PRINT_BUILT = (
    "import json, os",
    f"for built in json.load(open('{INSTALLED}')):",
    "    if built.startswith(os.getcwd() + '/'):",
    "        print(os.path.relpath(built))",
)
COPY_INSTALLED = (
    "import json, os, shutil, sys",
    f"for source, place in json.load(open('{INSTALLED}')).items():",
    "    place = sys.argv[1] + place",
    "    os.makedirs(os.path.dirname(place), exist_ok=True)",
    "    if os.path.isdir(source):",
    "        shutil.copytree(source, place, dirs_exist_ok=True)",
    "    else:",
    "        shutil.copy(source, place)",
)
LICENCES = ("LICENSE", "COPYING", "COPYING.LIB")


def configure_qemu(action: ConfigureQemu) -> Lines:
    """In an empty build folder."""
    headers = tuple(f"--extra-cflags=-I{action.build}/{shim}" for shim in action.shims)
    python = () if action.python is None else (f"--python={action.python}",)
    return (
        line("rm", "-rf", "--", action.build),
        line("mkdir", "-p", "--", action.build),
        *_in_build(action.build),
        *(each for shim in action.shims for each in _copied(shim)),
        *broken(f"{action.tree}/configure", *python, *action.flags, *headers),
    )


def compile_qemu(action: CompileQemu) -> Lines:
    """What will be installed, and nothing else; until 5.2, by make."""
    return (
        *_in_build(action.build),
        "if [ -f build.ninja ]; then",
        *indented(here_document("python3 -I - >kvmwizard-targets", PRINT_BUILT)[:1]),
        *here_document("", PRINT_BUILT)[1:],
        f"    xargs ninja -j{action.jobs} <kvmwizard-targets",
        "else",
        f"    make -j{action.jobs}",
        "fi",
    )


def stage_qemu(action: StageQemu) -> Lines:
    """Programs, firmware and licences as they will lie below /, links replaced by what they lead to."""
    linked = f"{action.stage}.linked"
    licences = f"{action.stage}{action.prefix}/share/licenses/qemu"
    return (
        line("rm", "-rf", "--", action.stage, linked),
        *_in_build(action.build),
        "if [ -f build.ninja ]; then",
        *indented(here_document(f"python3 -I - {quoted(linked)}", COPY_INSTALLED)[:1]),
        *here_document("", COPY_INSTALLED)[1:],
        "else",
        f"    {line('make', 'install', f'DESTDIR={linked}')}",
        "fi",
        line("cp", "-R", "-L", "--", linked, action.stage),
        line("rm", "-rf", "--", linked),
        line("mkdir", "-p", "--", licences),
        line("cd", "--", action.tree),
        *(f"[ ! -f {each} ] || {line('cp', '--', each, licences)}" for each in LICENCES),
        line("chmod", "-R", "u=rwX,go=rX", "--", action.stage),
    )


def _copied(shim: str) -> Lines:
    """Our headers, to where no path has a space."""
    return (line("mkdir", "-p", "--", parent(shim)), line("cp", "-R", "--", str(asset_path(shim)), shim))


def _in_build(build: str) -> Lines:
    return (
        line("cd", "--", build),
        line("export", f"HOME={build}", "SOURCE_DATE_EPOCH=315532800"),
        "export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1",
    )
