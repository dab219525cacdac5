import pytest

from kvmwizard.answers import DistributionQemu, KernelBuildAnswer, QemuBuildAnswer
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.costs import boot_needed, disk_needed, kernel_costs, qemu_costs
from kvmwizard.catalog.version import Version, parse_version
from tests.plan.answers import make_answers
from tests.plan.builds import BOOK_QEMU, build_answers

GB = 1_000_000_000


def version(text: str) -> Version:
    found = parse_version(text)
    assert found is not None
    return found


def test_nothing_is_needed_where_nothing_is_built() -> None:
    assert disk_needed(make_answers()) == 0
    assert boot_needed(make_answers()) == 0
    assert chosen_kernel(make_answers()) is None
    assert chosen_qemu(make_answers()) is None


def test_what_both_need_together() -> None:
    kernel = build_answers(qemu=DistributionQemu())
    both = disk_needed(build_answers())
    assert 2 * GB < disk_needed(kernel) < both < 8 * GB
    assert boot_needed(kernel) > 0


def test_debugging_symbols_take_many_times_the_disk() -> None:
    plain = kernel_costs(KernelBuildAnswer(base="running"), workers=4)["compile"]
    debug = kernel_costs(KernelBuildAnswer(base="running", debug_info=True), workers=4)["compile"]
    assert debug.bytes > 5 * plain.bytes
    assert debug.bytes > 25 * GB
    assert debug.seconds > plain.seconds


@pytest.mark.parametrize("base", ["running", "defconfig", "localmodconfig", "file"])
def test_twice_the_compilers_take_half_the_time(base: str) -> None:
    build = KernelBuildAnswer.model_validate({"base": base})
    one, two = (kernel_costs(build, workers)["compile"].seconds for workers in (2, 4))
    assert two == pytest.approx(one / 2)


def test_a_qemu_grew_with_its_versions_and_grows_with_its_targets() -> None:
    def seconds(text: str, *targets: str) -> float:
        return qemu_costs(version(text), QemuBuildAnswer(targets=targets or None), 4)["compile"].seconds

    assert seconds("2.7.0") < seconds("7.2.0") < seconds("10.1.0")
    assert seconds("10.1.0", "x86_64-softmmu") == seconds("10.1.0")
    assert seconds("10.1.0", "x86_64-softmmu", "arm-softmmu") > seconds("10.1.0")


def test_the_version_of_a_tag() -> None:
    qemu = chosen_qemu(build_answers(qemu=BOOK_QEMU))
    assert qemu is not None
    assert str(qemu.version) == "2.7.0"


def test_what_a_chosen_kernel_calls_itself() -> None:
    kernel = chosen_kernel(build_answers(kernel_build=KernelBuildAnswer(local_version="-own")))
    assert kernel is not None
    assert kernel.release == "6.12.104-own"
