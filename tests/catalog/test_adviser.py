"""What the adviser says: of versions, of tools that are here, foreseen or unknown, and of other ways."""

from dataclasses import replace
from typing import Any

import pytest

from kvmwizard.catalog.adviser import Verdict, advise, tools_of
from kvmwizard.catalog.known_failures import known_failure
from kvmwizard.catalog.sources import Project
from kvmwizard.catalog.tools import Tools
from kvmwizard.host.facts import Facts
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.host.toolchain import ToolchainFacts
from tests.facts_builder import make_facts
from tests.host.trees import HOSTS

DEBIAN_12 = Tools(
    compiler="gcc",
    architecture="x86_64",
    versions={
        "gcc": "12.2.0",
        "binutils": "2.40",
        "make": "4.3",
        "glibc": "2.36",
        "python3": "3.11.2",
        "python2": None,
        "python2_packages": "yes",
        "perl": "5.36.0",
        "glib": "2.74.6",
        "default_pie": "yes",
        "cf_protection": "no",
    },
    compilers=("gcc", "gcc-12", "gcc-11", "clang-14"),
    installed_compilers=("gcc", "gcc-12"),
)
NOTHING_INSTALLED = ToolchainFacts(tools={})


def with_tools(**versions: str | None) -> Tools:
    return replace(DEBIAN_12, versions={**DEBIAN_12.versions, **versions})


def without(tool: str) -> Tools:
    return replace(
        DEBIAN_12, versions={name: value for name, value in DEBIAN_12.versions.items() if name != tool}
    )


def remedies(verdict: Verdict) -> list[str]:
    return [remedy.id for remedy in verdict.remedies]


@pytest.mark.parametrize(
    ("project", "version", "expected"),
    [
        ("linux", "4.8.5", ["no-pie", "page-size", "plt32", "llist", "no-function-tracer"]),
        ("linux", "4.8.15", ["page-size", "plt32", "llist", "no-function-tracer"]),
        ("linux", "4.9.88", ["page-size", "llist", "no-function-tracer"]),
        ("linux", "4.9.336", []),
        ("linux", "4.14.27", ["page-size", "plt32", "no-function-tracer"]),
        ("linux", "4.14.336", []),
        ("linux", "4.19", ["no-stack-protector"]),
        ("linux", "4.19.325", []),
        ("linux", "6.1.192", []),
        ("linux", "6.17.1", []),
        ("qemu", "2.0.0", ["python2"]),
        ("qemu", "2.7.0", ["python2", "memfd-header"]),
        ("qemu", "2.11.2", ["python2", "memfd-header"]),
        ("qemu", "2.12.0", []),
        ("qemu", "7.2.22", []),
        ("qemu", "10.1.0", []),
    ],
)
def test_debian_12(project: Project, version: str, expected: list[str]) -> None:
    verdict = advise(project, version, DEBIAN_12)
    assert remedies(verdict) == expected
    assert verdict.outcome == ("with-remedies" if expected else "builds")
    assert verdict.certain
    assert bool(verdict.reasons) == bool(expected)
    assert not verdict.ways


def test_a_remedy_says_all_that_is_done() -> None:
    by_id = {remedy.id: remedy for remedy in advise("linux", "4.8.5", DEBIAN_12).remedies}
    assert by_id["no-pie"].make_variables == {"KCFLAGS": "-fno-pie", "KAFLAGS": "-fno-pie"}
    assert by_id["page-size"].make_variables == {"LD": "ld -z max-page-size=0x200000"}
    assert by_id["plt32"].patches == ("patches/linux-plt32.patch",)
    qemu = {remedy.id: remedy for remedy in advise("qemu", "2.7.0", DEBIAN_12).remedies}
    assert qemu["memfd-header"].shims == ("shims/memfd",)
    assert qemu["python2"].python2
    assert all(remedy.why.english and remedy.source for remedy in (*by_id.values(), *qemu.values()))


@pytest.mark.parametrize(
    ("project", "version", "tools", "reason"),
    [
        ("linux", "6.1.192", {"gcc": "4.8.5"}, "Linux 6.1.192 needs GCC 5.1 or newer; here it is 4.8.5."),
        ("linux", "6.17", {"gcc": "7.5.0"}, "Linux 6.17 needs GCC 8.1 or newer; here it is 7.5.0."),
        (
            "linux",
            "6.12.104",
            {"make": "3.82"},
            "Linux 6.12.104 needs GNU make 4.0 or newer; here it is 3.82.",
        ),
        (
            "qemu",
            "10.1.0",
            {"python3": "3.8.10"},
            "QEMU 10.1.0 needs Python 3.9 or newer; here it is 3.8.10.",
        ),
        ("qemu", "9.2.0", {"glib": "2.56.4"}, "QEMU 9.2.0 needs glib 2.66 or newer; here it is 2.56.4."),
        ("qemu", "7.2.22", {"gcc": "4.8.5"}, "QEMU 7.2.22 needs GCC 7.4 or newer; here it is 4.8.5."),
    ],
)
def test_tools_that_are_too_old(project: Project, version: str, tools: dict[str, str], reason: str) -> None:
    verdict = advise(project, version, with_tools(**tools))
    assert verdict.outcome == "other-toolchain"
    assert reason in [each.english for each in verdict.reasons]
    assert not verdict.remedies


@pytest.mark.parametrize(
    ("version", "outcome"),
    [
        ("6.12.13", "other-toolchain"),
        ("6.12.14", "builds"),
        ("6.6.77", "other-toolchain"),
        ("6.14", "builds"),
    ],
)
def test_a_compiler_that_is_too_new(version: str, outcome: str) -> None:
    assert advise("linux", version, with_tools(gcc="15.2.0")).outcome == outcome


def test_the_nearest_way_is_an_installed_compiler_then_a_packaged_one() -> None:
    newer = replace(with_tools(gcc="15.2.0"), compilers=("gcc", "gcc-9", "gcc-14", "gcc-15", "clang-19"))
    assert "gcc-14" in advise("linux", "6.6.20", newer).ways[0].english
    assert "package is installed" in advise("linux", "6.6.20", newer).ways[0].english
    here = replace(newer, installed_compilers=("gcc", "gcc-9"))
    assert advise("linux", "6.6.20", here).ways[0].english == (
        "Choose gcc-9 as the compiler, which is installed."
    )


@pytest.mark.parametrize(
    ("containers", "begins"),
    [
        (("podman", "docker"), "podman run --rm -it "),
        (("docker",), "docker run --rm -it "),
        (("debootstrap",), "sudo debootstrap --variant=minbase trixie "),
    ],
)
def test_a_container_is_told_of_where_its_tool_is(containers: tuple[str, ...], begins: str) -> None:
    tools = replace(with_tools(gcc="4.8.5"), compilers=("gcc",), containers=containers)
    (way,) = advise("linux", "6.1.192", tools).ways
    assert begins in way.english
    assert "apt-get install -y " in way.english
    assert "make -j$(nproc)" in way.english
    (by_hand,) = advise("linux", "6.1.192", replace(tools, containers=())).ways
    assert "Debian 13" in by_hand.english
    assert not any(name in by_hand.english for name in ("podman", "docker", "debootstrap"))


def test_a_release_that_needs_no_change_is_nearer_than_one_that_does() -> None:
    tools = replace(with_tools(python2_packages="no"), containers=("podman",))
    (way,) = advise("qemu", "2.7.0", tools).ways
    assert "ubuntu:16.04" in way.english
    assert "python2.7" in way.english


def test_a_compiler_of_the_persons_choice() -> None:
    facts = make_facts(toolchain={"compilers": ("gcc", "gcc-12")})
    assert tools_of(facts, "gcc-12").versions["gcc"] == "12.2.0"
    older = tools_of(facts, "gcc-11")
    assert older.versions["gcc"] == "11.1"
    assert "gcc" in older.foreseen
    assert "gcc-11" in older.compilers
    clang = tools_of(facts, "clang-14")
    assert clang.versions["clang"] == "14.1"
    assert "gcc" not in clang.versions
    assert advise("linux", "6.12.104", clang).outcome == "builds"
    assert advise("linux", "4.8.5", clang).outcome == "other-toolchain"


def test_what_is_not_installed_is_foreseen_from_the_distribution() -> None:
    tools = tools_of(
        make_facts(distribution={"id": "debian", "version": "11"}, toolchain=NOTHING_INSTALLED.model_dump())
    )
    assert tools.versions["gcc"] == "10.2.1"
    assert {"gcc", "binutils", "python2"} <= tools.foreseen
    assert tools.python2 == "/usr/bin/python2.7"
    assert remedies(advise("qemu", "2.7.0", tools)) == ["memfd-header"]


@pytest.mark.parametrize(
    ("project", "version"), [("linux", "4.8.5"), ("linux", "6.1.192"), ("qemu", "10.1.0")]
)
def test_what_nobody_knows_cannot_be_foretold(project: Project, version: str) -> None:
    facts = make_facts(
        distribution={"id": "unheard-of", "version": "1", "like": ()},
        toolchain=NOTHING_INSTALLED.model_dump(),
    )
    verdict = advise(project, version, tools_of(facts))
    assert not verdict.certain
    assert "cannot be foretold" in verdict.words.english
    assert "gcc" in verdict.words.english


def test_an_unknown_tool_matters_only_where_a_rule_asks_for_it() -> None:
    assert advise("linux", "6.1.192", without("perl")).certain
    assert not advise("linux", "4.8.5", without("default_pie")).certain
    assert not advise("qemu", "10.1.0", without("glib")).certain


@pytest.mark.parametrize(
    ("version", "python"),
    [("2.7.0", "/usr/bin/python2"), ("2.12.0", "/usr/bin/python3"), ("4.1.0", None), ("10.1.0", None)],
)
def test_configure_is_told_which_python_where_it_does_not_find_it(version: str, python: str | None) -> None:
    tools = replace(with_tools(python2="2.7.5"), python2="/usr/bin/python2")
    assert advise("qemu", version, tools).python == python


RECORDED: list[tuple[str, Project, str, dict[str, Any]]] = [
    ("intel-debian-12", "linux", "4.8.5", {"outcome": "with-remedies", "certain": True}),
    ("rhel-7.3", "linux", "4.8.5", {"outcome": "builds", "certain": True}),
    ("rhel-7.3", "qemu", "2.7.0", {"outcome": "builds", "python": "/usr/bin/python2.7"}),
    ("rhel-7.3", "linux", "6.1.192", {"outcome": "other-toolchain"}),
    ("amd-fedora-41", "linux", "6.12.104", {"outcome": "builds"}),
    ("amd-fedora-41", "qemu", "2.7.0", {"outcome": "other-toolchain"}),
    ("guest-without-nesting", "qemu", "10.1.0", {"outcome": "builds"}),
]


@pytest.mark.parametrize(("name", "project", "version", "expected"), RECORDED)
def test_recorded_machines(name: str, project: Project, version: str, expected: dict[str, Any]) -> None:
    facts: Facts = gather(Host(HOSTS / name))
    verdict = advise(project, version, tools_of(facts))
    assert {key: getattr(verdict, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("project", "version", "line", "part"),
    [
        ("linux", "4.8.5", "cc1: error: code model kernel does not support PIC mode", "position-independent"),
        ("linux", "4.8.15", "Unsupported relocation type: R_X86_64_PLT32 (4)", "understand calls"),
        ("linux", "4.8.15", "kvm: Unknown rela relocation: 4", "understand calls"),
        ("linux", "4.8.15", "BUG: unable to handle kernel paging request at ffffffffffffffc0", "end lists"),
        ("linux", "6.6.20", "error: cannot use keyword 'false' as enumeration constant", "C23"),
        ("linux", "6.1.192", "extract-cert.c:21: fatal error: openssl/bio.h: No such file", "libssl"),
        ("linux", "3.16", "linux/compiler-gcc12.h: No such file or directory", "header for every GCC"),
        ("linux", "6.1.192", "No rule to make target 'debian/certs/debian-uefi-certs.pem'", "signing keys"),
        ("qemu", "2.7.0", "error: static declaration of 'memfd_create' follows non-static", "header that"),
        ("qemu", "2.7.0", "Note that Python 3 or later is not yet supported.", "Python 2.7"),
        ("qemu", "2.7.0", "undefined reference to `major'", "Leave --enable-guest-agent out"),
        (
            "qemu",
            "2.7.0",
            "error: x may be used uninitialized [-Werror=maybe-uninitialized]",
            "--enable-werror",
        ),
        ("qemu", "7.2.22", "Cannot use '/usr/bin/python3', Python >= 3.6 is required.", "newer Python"),
    ],
)
def test_known_failures(project: Project, version: str, line: str, part: str) -> None:
    words = known_failure(project, version, f"  CC  one.o\n{line}\nmake: *** Error 1\n")
    assert words is not None
    assert part.lower() in words.english.lower()


def test_a_log_without_a_known_symptom_is_not_explained() -> None:
    assert known_failure("linux", "4.8.5", "x.c:1: error: expected ';'\n") is None
    assert known_failure("linux", "6.1.192", "code model kernel does not support PIC mode") is None
    assert known_failure("linux", "my own tree", "code model kernel does not support PIC mode") is None
