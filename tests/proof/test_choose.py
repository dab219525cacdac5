from kvmwizard.answers import Answers, DistributionQemu, GitQemu, LocalQemu, QemuAnswer, QemuBuildAnswer
from kvmwizard.host.facts import Facts
from kvmwizard.host.qemu import QemuBinary
from kvmwizard.host.reading import Unknown, UnknownReason
from kvmwizard.proof.choose import chosen_qemu, guest_command_line
from tests.facts_builder import make_facts


def machine_with(*paths_and_architectures: tuple[str, str], machine: str = "x86_64") -> Facts:
    binaries = tuple(
        QemuBinary(path=path, architecture=architecture, version="7.2.22")
        for path, architecture in paths_and_architectures
    )
    return make_facts(qemu={"binaries": binaries}, processor={"architecture": machine})


def test_the_distributions_goes_before_others() -> None:
    facts = machine_with(
        ("/usr/local/bin/qemu-system-x86_64", "x86_64"), ("/usr/bin/qemu-system-x86_64", "x86_64")
    )
    assert chosen_qemu(facts) == "/usr/bin/qemu-system-x86_64"
    answers = Answers(qemu=QemuAnswer(qemu=DistributionQemu()))
    assert chosen_qemu(facts, answers) == "/usr/bin/qemu-system-x86_64"


def test_the_answer_goes_before_all() -> None:
    facts = machine_with(("/usr/bin/qemu-system-x86_64", "x86_64"))
    answers = Answers(qemu=QemuAnswer(qemu=LocalQemu(path="/opt/qemu/bin/qemu-system-x86_64")))
    assert chosen_qemu(facts, answers) == "/opt/qemu/bin/qemu-system-x86_64"


def test_it_is_one_for_this_machines_architecture() -> None:
    both = (("/usr/bin/qemu-system-aarch64", "aarch64"), ("/usr/libexec/qemu-kvm", "x86_64"))
    assert chosen_qemu(machine_with(*both)) == "/usr/libexec/qemu-kvm"
    assert chosen_qemu(machine_with(*both, machine="aarch64")) == "/usr/bin/qemu-system-aarch64"
    assert chosen_qemu(machine_with(*both, machine="s390x")) is None
    power = machine_with(("/usr/bin/qemu-system-ppc64", "ppc64"), machine="ppc64le")
    assert chosen_qemu(power) == "/usr/bin/qemu-system-ppc64"


def test_none_where_none_is_known() -> None:
    assert chosen_qemu(machine_with()) is None
    unknown = Unknown(unknown=UnknownReason.NOT_LIVE)
    assert chosen_qemu(make_facts(qemu={"binaries": unknown})) is None


def test_the_command_line_names_the_real_binary() -> None:
    words = guest_command_line("/usr/libexec/qemu-kvm", "x86_64")
    assert words[:2] == ("/usr/libexec/qemu-kvm", "-enable-kvm")
    assert words[-2:] == ("-drive", "file=disk.img,format=raw")
    assert 256 <= int(words[words.index("-m") + 1]) <= 2048
    assert "virt" in guest_command_line("/usr/bin/qemu-system-aarch64", "aarch64")


def test_a_qemu_that_is_built_here_is_the_one_that_is_proved() -> None:
    source = QemuAnswer(qemu=GitQemu(tag="v7.2.22"))
    facts = machine_with(("/usr/bin/qemu-system-x86_64", "x86_64"))
    assert chosen_qemu(facts, Answers(qemu=source)) == "/opt/kvmwizard/qemu-7.2.22/bin/qemu-system-x86_64"
    build = QemuBuildAnswer(prefix="/opt/kvmwizard/mine")
    answers = Answers(qemu=source, qemu_build=build)
    assert chosen_qemu(facts, answers) == "/opt/kvmwizard/mine/bin/qemu-system-x86_64"
