from pathlib import Path

import pytest

from kvmwizard.build.kconfig import level_of, parts_of, read_kconfig
from kvmwizard.build.missing_symbols import missing_symbols, unsatisfied, why_not

TOP = """\
mainmenu "Linux"
source "arch/$(SRCARCH)/Kconfig"
source "drivers/*/Kconfig"

menu "Networking"
	depends on NET_CORE # and nothing else

config TUN
	tristate 'a "tun" device' if EXPERT || \\
		EMBEDDED
	help
          config NOT_ONE
            depends on NOTHING

          bool "nor this"
config MACVTAP
	tristate "macvtap"
	depends on MACVLAN && (INET || \\
		IPV6)
	select TAP
config TAP
	tristate
endmenu

choice
	prompt "Debug information"
config DEBUG_INFO_NONE
	bool "none"
config DEBUG_INFO_DWARF5
	bool "five"
endchoice

comment "hello"
	depends on TUN

config VFIO
	tristate "VFIO"
	depends on IOMMU_API
config IOMMU_API
	bool
config INTEL_IOMMU
	bool "VT-d"
	depends on PCI_MSI
	select IOMMU_API
config PCI_MSI
	bool "MSI"
	depends on PCI
config BTF
	def_bool y
config LOCKDOWN
	bool "Lockdown"
	select MODULE_SIG if MODULES
config MODULE_SIG
	bool "Signatures"
"""
SWITCH_ON = "which is off. Switch that on in the configuration that this one starts from."
ARCH = 'config PCI\n\tbool "PCI"\n\tdepends on $(success,test -n "a (b)") && 64BIT\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "Kconfig").write_text(TOP)
    (tmp_path / "arch/x86").mkdir(parents=True)
    (tmp_path / "arch/x86/Kconfig").write_text(ARCH)
    return tmp_path


def test_symbols_are_read_with_all_that_they_hang_on(tree: Path) -> None:
    kconfig = read_kconfig(tree, "x86")
    assert "NOT_ONE" not in kconfig.definitions
    (tun,) = kconfig.definitions["TUN"]
    assert [condition.split() for condition in tun.conditions] == [["NET_CORE"], ["EXPERT", "||", "EMBEDDED"]]
    assert tun.prompt
    assert tun.tristate
    (macvtap,) = kconfig.definitions["MACVTAP"]
    assert macvtap.conditions[0] == "NET_CORE"
    assert parts_of(macvtap.conditions[1])[0] == "MACVLAN"
    (tap,) = kconfig.definitions["TAP"]
    assert not tap.prompt
    assert [selector.name for selector in kconfig.selectors["TAP"]] == ["MACVTAP"]
    assert kconfig.definitions["DEBUG_INFO_NONE"][0].in_choice
    assert not kconfig.definitions["VFIO"][0].in_choice
    assert kconfig.definitions["VFIO"][0].conditions == ["IOMMU_API"]
    assert "PCI" in kconfig.definitions


@pytest.mark.parametrize(
    ("expression", "level"),
    [
        ("A", "y"),
        ("M", "m"),
        ("N", "n"),
        ("!A", "n"),
        ("!M", "m"),
        ("!UNHEARD_OF", "y"),
        ("A && M", "m"),
        ("M || N", "m"),
        ("N || A && M", "m"),
        ("(N || A) && A", "y"),
        ("!(A && N)", "y"),
        ('A="y"', "y"),
        ("M=m", "y"),
        ("M!=m", "n"),
        ("NUMBER > 23502", "y"),
        ("NUMBER < 10", "n"),
        ('TEXT = "x y"', "y"),
        ("$(success,test -n (a)) && A", "y"),
        ("A && (", "y"),
        ("A ?", "y"),
    ],
)
def test_conditions_come_to_n_m_or_y(expression: str, level: str) -> None:
    values = {"A": "y", "M": "m", "NUMBER": "24000", "TEXT": '"x y"'}
    assert level_of(expression, values) == level


def test_only_what_is_joined_at_the_top_is_parted() -> None:
    assert parts_of("A && (B && C) && !D") == ["A", "(B && C)", "!D"]
    assert parts_of("A && B || C") == ["A && B || C"]


@pytest.mark.parametrize(
    ("name", "wanted", "got", "words"),
    [
        ("TUN", "m", {"EXPERT": "y"}, "TUN depends on NET_CORE, which does not hold."),
        ("MACVTAP", "m", {"NET_CORE": "y", "INET": "y"}, "MACVTAP depends on MACVLAN, which does not hold."),
        (
            "MACVTAP",
            "y",
            {"NET_CORE": "y", "INET": "y", "MACVLAN": "m"},
            "MACVTAP depends on MACVLAN, which does not hold.",
        ),
        (
            "VFIO",
            "m",
            {},
            "VFIO needs IOMMU_API, which only others switch on, and none of them is on: INTEL_IOMMU.",
        ),
        (
            "INTEL_IOMMU",
            "y",
            {},
            "INTEL_IOMMU needs PCI, which depends on 64BIT, and that does not hold.",
        ),
        (
            "INTEL_IOMMU",
            "y",
            {"64BIT": "y", "PCI": "y"},
            f"INTEL_IOMMU needs PCI_MSI, {SWITCH_ON}",
        ),
        (
            "DEBUG_INFO_NONE",
            "y",
            {"DEBUG_INFO_DWARF5": "y"},
            "DEBUG_INFO_NONE is one of several that exclude each other, and another one is on.",
        ),
        (
            "MODULE_SIG",
            "n",
            {"MODULE_SIG": "y", "LOCKDOWN": "y"},
            "MODULE_SIG stays on, since these need it: LOCKDOWN.",
        ),
        ("LOCKDOWN", "y", {}, "LOCKDOWN was not taken, and its Kconfig file does not tell why."),
    ],
)
def test_what_blocked_a_symbol_is_named(
    tree: Path, name: str, wanted: str, got: dict[str, str], words: str
) -> None:
    assert why_not(name, wanted, got, read_kconfig(tree, "x86")).english == words


def test_a_module_is_content_to_be_built_in_and_no_other_way_round() -> None:
    wanted = {"A": "m", "B": "y", "C": "n", "D": "n", "E": '"x"', "F": "m"}
    got = {"A": "y", "B": "m", "C": "y", "E": '"x"'}
    assert unsatisfied(wanted, got) == {"B": "y", "C": "n", "F": "m"}


def test_what_a_version_does_not_have_is_told_apart(tree: Path) -> None:
    missing, absent = missing_symbols({"TUN": "m", "NEW_ONE": "y"}, {}, read_kconfig(tree, "x86"))
    assert [symbol.name for symbol in missing] == ["TUN"]
    assert absent == ["NEW_ONE"]
