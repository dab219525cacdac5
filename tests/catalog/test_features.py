import pytest

from kvmwizard.catalog.features import (
    WORDS,
    _tables,
    chosen_features,
    debug_info_symbols,
    features,
    symbols_of,
)
from kvmwizard.host.facts import Facts
from tests.facts_builder import AN_AMD_PROCESSOR, NO_EXTENSION, NOT_LIVE, make_facts


def symbols(version: str, facts: Facts, ids: tuple[str, ...] | None = None) -> dict[str, str]:
    return symbols_of(chosen_features(version, facts, ids))


def test_the_data_file_and_the_words_speak_of_the_same_features() -> None:
    assert list(_tables()) == list(WORDS)
    every = {need for table in _tables().values() for need in table.get("needs", ())}
    assert every <= _tables().keys()


def test_every_feature_says_what_it_is_and_why() -> None:
    for feature in features("6.12.104", make_facts()):
        assert feature.title.english
        assert feature.why.english.endswith(".")
        assert set(feature.symbols.values()) <= {"y", "m"}


@pytest.mark.parametrize(
    ("processor", "has", "lacks"),
    [
        ({}, {"KVM_INTEL", "INTEL_IOMMU"}, {"KVM_AMD", "AMD_IOMMU"}),
        (AN_AMD_PROCESSOR, {"KVM_AMD", "AMD_IOMMU"}, {"KVM_INTEL", "INTEL_IOMMU"}),
        # Switched off in the firmware, or a guest: its maker says which it would be.
        (NO_EXTENSION, {"KVM_INTEL"}, {"KVM_AMD"}),
        ({**NO_EXTENSION, "vendor": "Unheard-of"}, {"KVM_INTEL", "KVM_AMD"}, set()),
        ({"extension": NOT_LIVE, "vendor": NOT_LIVE}, {"KVM_INTEL", "KVM_AMD"}, set()),
    ],
)
def test_the_driver_is_the_processors_own(
    processor: dict[str, object], has: set[str], lacks: set[str]
) -> None:
    found = symbols("6.1.5", make_facts(processor=processor))
    assert has <= found.keys()
    assert not lacks & found.keys()


def test_elsewhere_the_symbols_are_the_architectures() -> None:
    arm = symbols("6.1", make_facts(processor={"architecture": "aarch64", "extension": NOT_LIVE}))
    power = symbols("6.1", make_facts(processor={"architecture": "ppc64le", "extension": NOT_LIVE}))
    assert arm["KVM"] == "y"
    assert not {"KVM_INTEL", "KVM_AMD", "IRQ_REMAP"} & arm.keys()
    assert power["KVM_BOOK3S_64_HV"] == "m"
    assert "KVM" not in power


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        ("4.8.5", {"NET"}, {"VHOST_MENU", "VFIO_GROUP", "CGROUP_BPF"}),
        ("6.1.192", {"VHOST_MENU", "VFIO_IOMMU_TYPE1"}, {"VFIO_GROUP", "VFIO_CONTAINER"}),
        ("6.2-rc1", {"VFIO_GROUP"}, {"VFIO_IOMMU_TYPE1"}),
        ("6.12.104", {"VFIO_CONTAINER", "CGROUP_BPF"}, {"VFIO_IOMMU_TYPE1"}),
    ],
)
def test_symbols_come_and_go_with_the_version(version: str, has: set[str], lacks: set[str]) -> None:
    found = symbols(version, make_facts(), tuple(WORDS))
    assert has <= found.keys()
    assert not lacks & found.keys()


def test_what_a_feature_needs_comes_with_it() -> None:
    assert {feature.id for feature in chosen_features("6.1", make_facts(), ("vfio",))} == {"iommu", "vfio"}
    macvtap = symbols("6.1", make_facts(), ("macvtap",))
    assert macvtap["MACVLAN"] == "m"
    assert "KVM" not in macvtap


def test_the_proposed_ones_hold_kvm_and_the_boot_test() -> None:
    proposed = {feature.id for feature in chosen_features("4.8.5", make_facts(), None)}
    assert {"kvm", "vhost-net", "boot-test"} <= proposed
    assert "macvtap" not in proposed


def test_debugging_symbols_are_a_choice_of_several_since_5_18() -> None:
    assert debug_info_symbols("4.8.5", wanted=False)["DEBUG_INFO"] == "n"
    assert debug_info_symbols("5.18-rc3", wanted=False)["DEBUG_INFO_NONE"] == "y"
    assert debug_info_symbols("5.17.9", wanted=True)["DEBUG_INFO"] == "y"
    assert debug_info_symbols("6.1", wanted=True)["DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT"] == "y"
