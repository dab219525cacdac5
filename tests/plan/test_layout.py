import pytest

from kvmwizard.answers import KeepKernel, KernelBuildAnswer, QemuBuildAnswer
from kvmwizard.catalog.build_folder import called_by_root
from kvmwizard.catalog.version import parse_version
from kvmwizard.plan.builder import builder_for
from kvmwizard.plan.layout import build_folder, source_folder
from kvmwizard.plan.refused import PlanRefused
from tests.facts_builder import NOT_LIVE, make_facts
from tests.plan.builds import build_answers


def test_a_version_has_a_folder_for_each_source() -> None:
    version = parse_version("6.12.104")
    assert version is not None
    folder = source_folder("/b", "linux", version, "12345678" + "0" * 56)
    assert folder.source == "/b/linux-6.12.104-12345678/source"
    assert folder.stamp("image") == "/b/linux-6.12.104-12345678/image.stamp"


def test_the_build_folder_is_the_persons_choice_else_their_cache_else_roots() -> None:
    own = KernelBuildAnswer(folder="/srv/builds/")
    assert build_folder(make_facts(), build_answers(kernel_build=own)) == "/srv/builds"
    assert build_folder(make_facts(), build_answers()) == "/home/alice/.cache/kvmwizard"
    as_root = make_facts(users={"caller": "root"})
    assert build_folder(as_root, build_answers()) == "/var/cache/kvmwizard/build"
    assert build_folder(as_root, build_answers(kernel_build=own)) == "/srv/builds"


def test_two_folders_are_one_too_many() -> None:
    kernel, qemu = KernelBuildAnswer(folder="/one"), QemuBuildAnswer(folder="/other")
    with pytest.raises(PlanRefused, match="Choose one folder for both"):
        build_folder(make_facts(), build_answers(kernel_build=kernel, qemu_build=qemu))
    kept = build_answers(kernel=KeepKernel(), kernel_build=kernel, qemu_build=qemu)
    assert build_folder(make_facts(), kept) == "/other"
    same = build_answers(kernel_build=kernel, qemu_build=QemuBuildAnswer(folder="/one/"))
    assert build_folder(make_facts(), same) == "/one"


@pytest.mark.parametrize(
    ("caller", "sudo_caller", "user", "builder"),
    [
        ("alice", None, "bob", None),
        ("root", "alice", "bob", "alice"),
        ("root", None, "bob", "bob"),
        ("root", None, "root", "61183"),
    ],
)
def test_who_builds(caller: str, sudo_caller: str | None, user: str, builder: str | None) -> None:
    facts = make_facts(users={"caller": caller, "sudo_caller": sudo_caller})
    access = build_answers(user=user).access
    assert access is not None
    assert builder_for(facts, access) == builder


def test_a_recorded_machine_has_no_caller() -> None:
    assert not called_by_root(make_facts(users={"caller": NOT_LIVE}))
