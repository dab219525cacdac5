"""The rules' conditions against the tools of this machine: the smallest thing that shows each."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.catalog.adviser import advise, tools_of
from kvmwizard.catalog.conditions import holds
from kvmwizard.catalog.known_failures import known_failure
from kvmwizard.catalog.tools import Tools
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.resources import asset_path

TOOLS = tools_of(gather(Host()))
COMPILERS = tuple(name for name in TOOLS.installed_compilers if name.startswith("gcc"))

LIST = """\
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
struct node { struct node *next; };
struct item { volatile long weight[8]; struct node link; };
#define ITEM(node) ((struct item *)((char *)(node) - offsetof(struct item, link)))
#define MORE(item) %s
__attribute__((noinline)) long weigh(struct node *first) {
    long sum = 0;
    for (struct item *item = ITEM(first); MORE(item); item = ITEM(item->link.next))
        sum += item->weight[0];
    return sum;
}
int main(int count, char **arguments) {
    struct item *only = calloc(1, sizeof *only);
    only->weight[0] = count;
    return weigh(&only->link) == count ? 0 : 1;
}
"""
MEMFD = """\
#ifdef FOUND
#include <sys/memfd.h>
#else
#include <sys/mman.h>
static int memfd_create(const char *name, unsigned int flags) { return name ? (int)flags : -1; }
#endif
int main(void) { return memfd_create("one", 0) < 0; }
"""
BOOLEAN = "enum { false = 0, true = 1 };\nint main(void) { return false; }\n"
DEVICE_NUMBER = "#include <sys/types.h>\nint main(void) { return (int)major((dev_t)4096); }\n"


def run(argv: Sequence[str | Path], directory: Path) -> tuple[int, str]:
    """The exit code of a command and all that it said."""
    done = subprocess.run(
        [str(word) for word in argv], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def compiled(compiler: str, source: str, directory: Path, *flags: str) -> tuple[int, str]:
    (directory / "one.c").write_text(source)
    return run([compiler, *flags, "-o", "one", "one.c"], directory)


def needs(project: str, version: str, tools: Tools, remedy: str) -> bool:
    verdict = advise("linux" if project == "linux" else "qemu", version, tools)
    return remedy in {each.id for each in verdict.remedies}


@pytest.fixture(autouse=True)
def _compiler_is_here() -> None:
    if not COMPILERS or shutil.which("ld") is None:
        pytest.skip("this machine has no GCC and binutils")


def of_compiler(compiler: str) -> Tools:
    return tools_of(gather(Host()), compiler)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_position_independence(compiler: str, tmp_path: Path) -> None:
    for flags, fails in (
        ((), needs("linux", "4.8.5", of_compiler(compiler), "no-pie")),
        (("-fno-pie",), False),
    ):
        code, said = compiled(compiler, "int one;\n", tmp_path, "-c", "-mcmodel=kernel", *flags)
        assert (code != 0) is fails, said
        if fails:
            assert known_failure("linux", "4.8.5", said) is not None


def test_relocations_of_calls(tmp_path: Path) -> None:
    if TOOLS.architecture != "x86_64":
        pytest.skip("binutils changed the relocations of x86-64 alone")
    (tmp_path / "one.s").write_text("call other\n")
    assert run(["as", "-o", "one.o", "one.s"], tmp_path)[0] == 0
    shown = run(["readelf", "--relocs", "--wide", "one.o"], tmp_path)[1]
    assert ("R_X86_64_PLT32" in shown) is needs("linux", "4.8.15", TOOLS, "plt32")


def test_alignment_of_what_is_linked(tmp_path: Path) -> None:
    if TOOLS.architecture != "x86_64":
        pytest.skip("the linker's alignment is another on other processors")
    assert compiled(COMPILERS[0], "int start;\n", tmp_path, "-c")[0] == 0
    usual, remedied = ["ld"], ["ld", "-z", "max-page-size=0x200000"]
    for linker, small in ((usual, needs("linux", "4.8.15", TOOLS, "page-size")), (remedied, False)):
        run([*linker, "-e", "start", "-o", "linked", "one"], tmp_path)
        shown = run(["readelf", "--segments", "--wide", "linked"], tmp_path)[1]
        aligned = {int(value, 16) for value in re.findall(r"^ +LOAD.* (0x[0-9a-f]+)$", shown, re.MULTILINE)}
        assert (max(aligned) < 0x200000) is small, shown


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_end_of_lists(compiler: str, tmp_path: Path) -> None:
    tests = {
        "&(item)->link != NULL": needs("linux", "4.8.15", of_compiler(compiler), "llist"),
        "(uintptr_t)(item) + offsetof(struct item, link) != 0": False,
    }
    for test, crashes in tests.items():
        assert compiled(compiler, LIST % test, tmp_path, "-O2", "-w")[0] == 0
        assert (run([tmp_path / "one"], tmp_path)[0] != 0) is crashes, test


def test_symbols_of_a_file_that_has_weak_functions_alone(tmp_path: Path) -> None:
    if TOOLS.architecture != "x86_64":
        pytest.skip("on other processors the tool that serves the function tracer is another")
    # Unwind tables would name the section, and the kernel has none.
    flags = ("-c", "-fno-pie", "-fno-asynchronous-unwind-tables", "-pg", "-mfentry")
    source = "__attribute__((weak)) int one(void) { return 1; }\n"
    assert compiled(COMPILERS[0], source, tmp_path, *flags)[0] == 0
    shown = run(["readelf", "--symbols", "--wide", "one"], tmp_path)[1]
    without_section = " SECTION " not in shown
    assert without_section is needs("linux", "4.8.15", TOOLS, "no-function-tracer"), shown


def test_the_patch_tests_in_integers_as_this_does() -> None:
    patch = asset_path("patches/linux-llist.patch").read_text(encoding="ascii")
    assert patch.count("\n+\t     (uintptr_t)") == 2


@pytest.mark.parametrize("compiler", COMPILERS)
def test_keywords_of_c23(compiler: str, tmp_path: Path) -> None:
    verdict = advise("linux", "6.6.20", of_compiler(compiler))
    code, said = compiled(compiler, BOOLEAN, tmp_path)
    assert (code != 0) is (verdict.outcome == "other-toolchain"), said
    if code != 0:
        assert known_failure("linux", "6.6.20", said) is not None


def test_memfd(tmp_path: Path) -> None:
    clashes = needs("qemu", "2.7.0", TOOLS, "memfd-header")
    code, said = compiled(COMPILERS[0], MEMFD, tmp_path, "-D_GNU_SOURCE")
    assert (code != 0) is clashes, said
    if clashes:
        assert known_failure("qemu", "2.7.0", said) is not None
        header = f"-I{asset_path('shims/memfd')}"
        code, said = compiled(COMPILERS[0], MEMFD, tmp_path, "-D_GNU_SOURCE", "-DFOUND", header)
        assert code == 0, said


def test_device_numbers(tmp_path: Path) -> None:
    code, said = compiled(COMPILERS[0], DEVICE_NUMBER, tmp_path, "-std=gnu89", "-w")
    assert (code != 0) is holds(">=2.28", TOOLS.versions["glibc"]), said
    if code != 0:
        explained = known_failure("qemu", "2.7.0", said)
        assert explained is not None
        assert "--enable-guest-agent" in explained.english
