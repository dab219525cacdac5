"""What a person is told of an answer that the machine cannot do, where that depends on what machine it is."""

from collections.abc import Mapping

import pytest

from kvmwizard.answers import iommu_obstacle
from tests.facts_builder import make_facts

NO_TABLES = {"tables": ()}


@pytest.mark.parametrize(
    "environment", [{"hypervisor": "kvm"}, {"container": "lxc"}], ids=["guest", "container"]
)
def test_a_guest_is_sent_to_no_firmware_s_setup(environment: Mapping[str, object]) -> None:
    words = iommu_obstacle(make_facts(iommu=NO_TABLES, environment=environment))
    assert words is not None
    assert words.english == "This machine is itself a guest, and was given no IOMMU; guests run without."


def test_a_machine_of_its_own_is_told_where_to_turn_it_on_and_to_check_again() -> None:
    words = iommu_obstacle(make_facts(iommu=NO_TABLES))
    assert words is not None
    assert words.english.endswith("in the firmware's setup, then check again on the Hardware page (r).")
