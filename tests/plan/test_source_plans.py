"""What building from source adds to a plan, on which machine and for which answers."""

import re

import pytest

from kvmwizard.answers import (
    Answers,
    DistributionQemu,
    GitKernel,
    GitQemu,
    KeepKernel,
    KernelBuildAnswer,
    LocalQemu,
    LocalSourceKernel,
    QemuBuildAnswer,
    ReleaseKernel,
    SourcesAnswer,
)
from kvmwizard.host.facts import Facts
from kvmwizard.host.security import SelinuxMode
from kvmwizard.plan.build_model import (
    BootKernel,
    CompileKernel,
    ConfigureKernel,
    ConfigureQemu,
    DownloadSource,
    FetchTag,
    InstallTree,
    ListedChecksum,
    PublishedChecksum,
    SetNextBoot,
    UnpackPackages,
    UnpackSource,
)
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Action, PackagesInstalled, Plan, RunCommand, WriteFile
from kvmwizard.plan.refused import PlanRefused
from tests.facts_builder import NOT_SHOWN, make_facts, tool
from tests.plan.builds import A_LINUX, BOOK_LINUX, book_answers, build_answers

FOLDER = "/home/alice/.cache/kvmwizard"
QEMU_HERE = LocalQemu(path="/usr/bin/qemu-system-x86_64")


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def action(plan: Plan, step_id: str) -> Action:
    return plan.step(step_id).actions[-1]


def notes(plan: Plan) -> str:
    return "\n".join(note.english for note in plan.notes)


def facts_with_tools(*names: str) -> Facts:
    git = {"git": tool("git", "2.39.5")} if "git" in names else {}
    return make_facts(toolchain={"tools": git, "source_tools": names})


OTHERS = (
    "kernel.boot-once",
    "access.member",
    "access.now",
    "access.prove",
    "kernel.restart",
    "kernel.proof",
    "kernel.default",
)
"""What stands behind the building of a kernel and a QEMU."""


def test_kernel_and_qemu_from_source() -> None:
    plan = make_plan(make_facts(), build_answers())
    assert ids(plan) == [
        "packages.refresh",
        "build.packages",
        "kernel.download",
        "kernel.unpack",
        "kernel.configure",
        "kernel.compile",
        "kernel.stage",
        "qemu.download",
        "qemu.unpack",
        "qemu.configure",
        "qemu.compile",
        "kernel.boot",
        "kernel.install",
        "qemu.stage",
        "qemu.install",
        *OTHERS,
    ]
    assert plan.kernel_release == "6.12.104-kvmwizard"
    assert plan.qemu == "/opt/kvmwizard/qemu-10.1.0/bin/qemu-system-x86_64"
    assert (plan.builder, plan.build_folder) == (None, FOLDER)
    assert plan.only_shown is None


def test_downloads_compiles_and_the_rest_may_overlap() -> None:
    plan = make_plan(make_facts(), build_answers())
    uses = {step.id: step.uses for step in plan.steps if not step.root and step.id != "kernel.proof"}
    assert {step_id for step_id, used in uses.items() if used == ("network",)} == {
        "kernel.download",
        "qemu.download",
    }
    compiles = {"kernel.compile", "qemu.compile"}
    assert {step_id for step_id, used in uses.items() if used == ("processor",)} == compiles
    assert "qemu.configure" not in plan.step("kernel.compile").needs
    assert plan.step("kernel.stage").needs == ("kernel.compile",)


def test_a_kernel_that_was_not_seen_to_boot_is_not_installed() -> None:
    plan = make_plan(make_facts(), build_answers())
    assert {"kernel.boot", "kernel.stage"} <= set(plan.step("kernel.install").needs)
    assert plan.step("kernel.boot").required
    boot = action(plan, "kernel.boot")
    assert isinstance(boot, BootKernel)
    folder = re.sub("/build/.*", "", boot.image)
    assert boot.image == f"{folder}/build/arch/x86/boot/bzImage"
    assert boot.release == "6.12.104-kvmwizard"
    assert boot.qemu.endswith("/build/qemu-system-x86_64")
    assert boot.qemu.startswith(f"{FOLDER}/qemu-10.1.0-")
    assert boot.firmware[0] == boot.qemu.replace("build/qemu-system-x86_64", "source/pc-bios")
    assert "qemu.compile" in plan.step("kernel.boot").needs


def test_the_boot_test_takes_the_qemu_that_was_chosen() -> None:
    packaged = make_plan(make_facts(qemu={"binaries": ()}), build_answers(qemu=DistributionQemu()))
    boot = action(packaged, "kernel.boot")
    assert isinstance(boot, BootKernel)
    assert (boot.qemu, boot.firmware) == ("/usr/bin/qemu-system-x86_64", ())
    assert packaged.step("kernel.boot").needs == ("kernel.compile", "packages.install")
    here = make_plan(make_facts(), build_answers(qemu=LocalQemu(path="/opt/own/qemu-system-x86_64")))
    boot = action(here, "kernel.boot")
    assert isinstance(boot, BootKernel)
    assert boot.qemu == "/opt/own/qemu-system-x86_64"
    assert here.step("kernel.boot").needs == ("kernel.compile",)


def test_an_old_qemu_lies_in_its_targets_folder() -> None:
    facts = make_facts()
    boot = action(make_plan(facts, book_answers(facts)), "kernel.boot")
    assert isinstance(boot, BootKernel)
    assert boot.qemu.endswith("/build/x86_64-softmmu/qemu-system-x86_64")


def test_another_architecture_is_not_booted_beforehand_and_says_so() -> None:
    plan = make_plan(make_facts(processor={"architecture": "aarch64"}), build_answers())
    assert "kernel.boot" not in ids(plan)
    assert "kernel.install" in ids(plan)
    assert "cannot be booted as a guest here before it is installed" in notes(plan)


def test_where_no_kernels_are_built() -> None:
    with pytest.raises(PlanRefused, match="builds no kernels for mips64"):
        make_plan(make_facts(processor={"architecture": "mips64"}), build_answers(qemu=QEMU_HERE))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (make_facts(environment={"container": "docker"}), "A container has no kernel"),
        (make_facts(firmware={"secure_boot": True}), "Turn Secure Boot off"),
    ],
)
def test_a_kernel_that_could_not_run_is_refused(facts: Facts, words: str) -> None:
    with pytest.raises(PlanRefused, match=words):
        make_plan(facts, build_answers())
    assert "qemu.install" in ids(make_plan(facts, build_answers(kernel=KeepKernel())))


def test_the_new_kernel_starts_once() -> None:
    plan = make_plan(make_facts(), build_answers())
    written, updated, once = plan.step("kernel.boot-once").actions
    assert isinstance(written, WriteFile)
    assert "GRUB_DEFAULT=saved" in written.text
    assert isinstance(updated, RunCommand)
    assert once == SetNextBoot(release="6.12.104-kvmwizard", otherwise="6.1.0-49-amd64")
    assert "starts Linux 6.12.104-kvmwizard once" in notes(plan)


@pytest.mark.parametrize(
    "facts",
    [
        make_facts(distribution={"boot_loader": "systemd-boot"}),
        make_facts(distribution={"id": "fedora", "package_manager": "dnf"}),
        make_facts(kernel={"installed_releases": ()}),
        make_facts(kernel={"installed_releases": NOT_SHOWN}),
    ],
)
def test_elsewhere_the_person_chooses_in_the_boot_menu(facts: Facts) -> None:
    plan = make_plan(facts, build_answers(kernel_build=KernelBuildAnswer(install="plain")))
    assert "kernel.boot-once" not in ids(plan)
    assert "pick it in the boot menu when you restart" in notes(plan)


def test_once_it_runs_nothing_is_chosen_and_nothing_is_built_anew() -> None:
    before = make_plan(make_facts(), build_answers())
    running = {
        "release": "6.12.104-kvmwizard",
        "configuration_source": "/boot/config-6.12.104-kvmwizard",
        "installed_releases": ("6.1.0-49-amd64", "6.12.104-kvmwizard"),
    }
    after = make_plan(make_facts(kernel=running), build_answers())
    assert "kernel.boot-once" not in ids(after)
    conditions = {step.id: step.conditions for step in before.steps}
    assert {step.id: step.conditions for step in after.steps}.items() <= conditions.items()


def test_what_is_downloaded_is_proved_by_every_means_there_is() -> None:
    download = action(make_plan(make_facts(), build_answers()), "kernel.download")
    assert isinstance(download, DownloadSource)
    assert [proof.kind for proof in download.proofs] == ["listed-checksum", "detached-signature"]
    assert download.urls[0] == "https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.104.tar.xz"
    (listed, _) = download.proofs
    assert isinstance(listed, ListedChecksum)
    assert [key.fingerprint for key in listed.keys] == ["B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1"]
    assert not download.unverified


def test_the_keys_that_count_are_named() -> None:
    said = notes(make_plan(make_facts(), build_answers()))
    assert "Kernel.org checksum autosigner (B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1)" in said
    assert "CEACC9E15534EBABB82D3FA03353C9CEF108B584" in said
    assert "cdn.kernel.org, mirrors.edge.kernel.org" in said


def test_the_published_sum_of_the_books_kernel() -> None:
    facts = make_facts()
    download = action(make_plan(facts, book_answers(facts)), "kernel.download")
    assert isinstance(download, DownloadSource)
    assert download.proofs[0] == PublishedChecksum(
        sha256="48171714923f52b03e667011426cb62089fd3df9eb4be1227b781188d680c408"
    )


def test_a_mirror_of_ones_own() -> None:
    sources = SourcesAnswer(kernel_mirror="http://127.0.0.1:8000/kernel", qemu_git="git://127.0.0.1/qemu.git")
    answers = build_answers(sources=sources, qemu=GitQemu(tag="v10.1.0"))
    plan = make_plan(make_facts(), answers)
    download, fetch = action(plan, "kernel.download"), action(plan, "qemu.fetch")
    assert isinstance(download, DownloadSource)
    assert download.urls == ("http://127.0.0.1:8000/kernel/v6.x/linux-6.12.104.tar.xz",)
    assert isinstance(fetch, FetchTag)
    assert fetch.urls == ("git://127.0.0.1/qemu.git",)
    assert "127.0.0.1:8000" in notes(plan)


def test_a_mirror_changes_nothing_of_what_is_built() -> None:
    def identities(answers: Answers) -> list[str]:
        plan = make_plan(make_facts(), answers)
        return [str(condition) for step in plan.steps if not step.root for condition in step.conditions]

    mirrored = SourcesAnswer(kernel_mirror="http://127.0.0.1/kernel", qemu_mirror="http://127.0.0.1/qemu")
    assert identities(build_answers(sources=mirrored)) == identities(build_answers())


def test_a_key_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(PlanRefused, match=r"/nowhere/key\.asc"):
        make_plan(make_facts(), build_answers(sources=SourcesAnswer(kernel_key="/nowhere/key.asc")))


def test_a_candidate_that_nobody_signs_must_be_allowed_by_name() -> None:
    with pytest.raises(PlanRefused, match=r"Nobody signs linux-6\.13-rc2\.tar\.gz.*v6\.13-rc2 from git"):
        make_plan(make_facts(), build_answers(kernel=ReleaseKernel(version="6.13-rc2")))
    allowed = ReleaseKernel(version="6.13-rc2", unverified="linux-6.13-rc2.tar.gz")
    plan = make_plan(make_facts(), build_answers(kernel=allowed))
    download = action(plan, "kernel.download")
    assert isinstance(download, DownloadSource)
    assert (download.unverified, download.proofs) == (True, ())
    assert plan.kernel_release == "6.13.0-rc2-kvmwizard"
    assert "You allowed it to be used" in notes(plan)


def test_what_was_allowed_for_another_file_counts_for_none() -> None:
    kernel = ReleaseKernel(version="6.12.104", unverified="linux-6.12.103.tar.xz")
    download = action(make_plan(make_facts(), build_answers(kernel=kernel)), "kernel.download")
    assert isinstance(download, DownloadSource)
    assert not download.unverified


def test_a_tag_is_fetched_and_verified_in_one_step() -> None:
    plan = make_plan(make_facts(), build_answers(kernel=GitKernel(tag="v6.12.104")))
    assert "kernel.unpack" not in ids(plan)
    fetch = action(plan, "kernel.fetch")
    assert isinstance(fetch, FetchTag)
    assert fetch.tag == "v6.12.104"
    assert fetch.repository == f"{FOLDER}/git/linux.git"
    assert {key.fingerprint for key in fetch.keys} >= {"647F28654894E3BD457199BE38DBBDC86092693E"}
    assert "kernel.fetch" in plan.step("kernel.configure").needs


def test_ones_own_source_is_copied_once() -> None:
    kernel = LocalSourceKernel(path="/srv/linux", version="6.6")
    plan = make_plan(make_facts(), build_answers(kernel=kernel))
    unpack = action(plan, "kernel.unpack")
    assert isinstance(unpack, UnpackSource)
    assert unpack.archive == "/srv/linux"
    assert "kernel.download" not in ids(plan)
    assert "/srv/linux is yours" in notes(plan)
    assert plan.kernel_release == "6.6.0-kvmwizard"


@pytest.mark.parametrize(("tools", "waits"), [((), True), (("gpgv",), True), (("gpgv", "xz", "git"), False)])
def test_getting_waits_only_for_tools_that_are_missing(tools: tuple[str, ...], waits: bool) -> None:
    plan = make_plan(facts_with_tools(*tools), build_answers(qemu=GitQemu(tag="v10.1.0")))
    assert ("build.packages" in plan.step("kernel.download").needs) is waits
    assert ("build.packages" in plan.step("qemu.fetch").needs) is waits
    assert ("build.packages" in plan.step("kernel.unpack").needs) is ("xz" not in tools)
    assert "build.packages" in plan.step("kernel.configure").needs


def test_patching_waits_for_patch() -> None:
    facts = facts_with_tools("gpgv", "xz")
    assert "build.packages" in make_plan(facts, book_answers(facts)).step("kernel.unpack").needs


def test_the_packages_that_building_needs_are_one_step() -> None:
    build = KernelBuildAnswer(compiler="gcc-11", ccache=True)
    plan = make_plan(make_facts(), build_answers(kernel_build=build))
    (condition,) = plan.step("build.packages").conditions
    assert isinstance(condition, PackagesInstalled)
    assert {"flex", "libglib2.0-dev", "gpgv", "gcc-11", "ccache", "ninja-build"} <= set(condition.names)
    assert len(set(condition.names)) == len(condition.names)
    assert plan.step("build.packages").needs == ("packages.refresh",)
    assert plan.step("build.packages").lasting is not None
    configure = action(plan, "kernel.configure")
    assert isinstance(configure, ConfigureKernel)
    assert configure.make_variables["CC"] == "ccache gcc-11"
    assert configure.make_variables["CCACHE_DIR"] == f"{FOLDER}/ccache"


def test_an_unknown_package_manager_is_left_to_the_person() -> None:
    distribution = {"id": "void", "package_manager": None}
    plan = make_plan(make_facts(distribution=distribution), build_answers(qemu=QEMU_HERE))
    assert "build.packages" not in ids(plan)
    assert "Install what building needs yourself" in notes(plan)


def test_another_package_manager_is_only_shown() -> None:
    distribution = {"id": "fedora", "version": "41", "package_manager": "dnf"}
    plan = make_plan(make_facts(distribution=distribution), build_answers())
    assert plan.only_shown is not None
    assert "dnf" in str(plan.only_shown)


def test_the_configuration_that_a_kernel_starts_from() -> None:
    def configured(build: KernelBuildAnswer, facts: Facts | None = None) -> ConfigureKernel:
        found = action(
            make_plan(facts or make_facts(), build_answers(kernel_build=build)), "kernel.configure"
        )
        assert isinstance(found, ConfigureKernel)
        return found

    assert configured(KernelBuildAnswer()).base_file == "/boot/config-6.1.0-49-amd64"
    assert configured(KernelBuildAnswer(base="running")).base_file == "/boot/config-6.1.0-49-amd64"
    assert configured(KernelBuildAnswer(base="defconfig")).base_file is None
    own = KernelBuildAnswer(base="file", base_file="/home/bob/config")
    assert configured(own).base_file == "/home/bob/config"
    unknown = make_facts(kernel={"configuration_source": None, "options": NOT_SHOWN})
    assert configured(KernelBuildAnswer(), unknown).base_file is None
    assert "is not kept on this machine" in notes(make_plan(unknown, build_answers()))


def test_symbols_of_features_debug_information_and_remedies() -> None:
    def symbols(build: KernelBuildAnswer) -> dict[str, str]:
        found = action(make_plan(make_facts(), build_answers(kernel_build=build)), "kernel.configure")
        assert isinstance(found, ConfigureKernel)
        return found.symbols

    proposed = symbols(KernelBuildAnswer())
    assert proposed["KVM_INTEL"] in {"m", "y"}
    assert proposed["DEBUG_INFO_NONE"] == "y"
    assert symbols(KernelBuildAnswer(debug_info=True))["DEBUG_INFO_NONE"] == "n"
    assert "VFIO" not in symbols(KernelBuildAnswer(features=("kvm",)))


def test_the_book() -> None:
    facts = make_facts(
        toolchain={
            "tools": {
                **{name: tool(name, version) for name, version in (("gcc", "12.2.0"), ("ld", "2.40"))},
                "python3": tool("python3", "3.11.2"),
            },
            "glibc": "2.36",
            "default_pie": True,
        }
    )
    plan = make_plan(facts, book_answers(facts))
    unpack, configure = action(plan, "kernel.unpack"), action(plan, "kernel.configure")
    assert isinstance(unpack, UnpackSource)
    assert unpack.patches == ("patches/linux-plt32.patch", "patches/linux-llist.patch")
    assert isinstance(configure, ConfigureKernel)
    assert configure.make_variables["KCFLAGS"] == "-fno-pie"
    python, qemu = action(plan, "python2.unpack"), action(plan, "qemu.configure")
    assert isinstance(python, UnpackPackages)
    assert isinstance(qemu, ConfigureQemu)
    assert qemu.python is not None
    assert qemu.python.startswith(f"{python.folder}/")
    assert "python2.unpack" in plan.step("qemu.configure").needs
    assert "--disable-guest-agent" in qemu.flags
    assert qemu.shims == ("shims/memfd",)
    assert "as you agreed" in notes(plan)
    assert plan.kernel_release == "4.8.5-kvmwizard"
    # Once all is done, what was agreed to is no news; what is left to do is.
    left = "\n".join(note.english for note in plan.notes if note not in plan.settled)
    assert "as you agreed" not in left
    assert "counts as genuine" not in left
    assert "runs after the next restart" not in left
    assert "a newer kernel of the distribution does not become it" in left
    assert "remove it whenever you want the room back" in left


def test_what_is_needed_and_was_not_agreed_to_is_refused() -> None:
    with pytest.raises(PlanRefused, match=r"Linux 4\.8\.5 builds here only with this.*Agree to it \("):
        make_plan(make_facts(), build_answers(kernel=BOOK_LINUX))


def test_what_was_agreed_to_and_is_not_needed_is_left_out() -> None:
    agreed = KernelBuildAnswer(agreed=("plt32",))
    assert make_plan(make_facts(), build_answers(kernel_build=agreed)) == make_plan(
        make_facts(), build_answers()
    )


def test_fewer_jobs_for_want_of_memory_are_said() -> None:
    plan = make_plan(make_facts(memory={"available": 2 << 30}), build_answers())
    compiled = action(plan, "kernel.compile")
    assert isinstance(compiled, CompileKernel)
    assert compiled.jobs == 2
    assert "fewer because of memory" in notes(plan)


def test_as_a_package_or_plain() -> None:
    packaged = make_plan(make_facts(), build_answers())
    install = action(packaged, "kernel.install")
    assert isinstance(install, InstallTree)
    assert (install.name, install.as_package) == ("linux-image-6.12.104-kvmwizard", True)
    assert packaged.step("kernel.install").uses == ("packages",)
    plain = make_plan(make_facts(), build_answers(kernel_build=KernelBuildAnswer(install="plain")))
    install = action(plain, "kernel.install")
    assert isinstance(install, InstallTree)
    assert not install.as_package
    assert plain.step("kernel.install").uses == ()
    assert plain.step("kernel.install").conditions != packaged.step("kernel.install").conditions


def test_qemus_prefix() -> None:
    plan = make_plan(make_facts(), build_answers(qemu_build=QemuBuildAnswer(prefix="/usr/local")))
    install = action(plan, "qemu.install")
    assert isinstance(install, InstallTree)
    assert (install.prefix, install.name, install.release) == ("/usr/local", "qemu-10.1.0", None)
    assert plan.qemu == "/usr/local/bin/qemu-system-x86_64"
    assert "QEMU 10.1.0 will be /usr/local/bin/qemu-system-x86_64." in notes(plan)


def test_a_qemu_without_this_machines_own_target_is_refused() -> None:
    with pytest.raises(PlanRefused, match="Add x86_64-softmmu"):
        make_plan(make_facts(), build_answers(qemu_build=QemuBuildAnswer(targets=("arm-softmmu",))))


def test_libvirts_profiles_are_spoken_of_where_they_matter() -> None:
    answers = build_answers(kernel=KeepKernel())
    said = notes(make_plan(make_facts(), answers))
    assert "AppArmor keeps libvirt's guests to the distribution's QEMU" in said
    assert "SELinux" not in said
    enforcing = make_facts(security={"selinux": SelinuxMode.ENFORCING, "apparmor": False})
    assert "SELinux lets libvirt start only" in notes(make_plan(enforcing, answers))
    neither = make_facts(security={"selinux": SelinuxMode.DISABLED, "apparmor": False})
    assert "libvirt" not in notes(make_plan(neither, answers))


def test_more_processors_and_less_configuration_take_less_time() -> None:
    def seconds(base: str, processors: int = 4) -> float:
        build = KernelBuildAnswer.model_validate({"base": base})
        facts = make_facts(processor={"processors": processors}, memory={"available": 64 << 30})
        return make_plan(facts, build_answers(kernel_build=build)).step("kernel.compile").seconds

    assert seconds("defconfig") < seconds("localmodconfig") < seconds("running")
    assert seconds("defconfig", processors=16) < seconds("defconfig") / 3


def test_modules_of_the_new_kernel_are_loaded_at_boot() -> None:
    facts = make_facts()
    answers = build_answers(kernel=A_LINUX)
    options = answers.kernel_options
    assert options is not None
    wanted = answers.model_copy(
        update={"kernel_options": options.model_copy(update={"modules": ("kvm_pvm",)})}
    )
    plan = make_plan(facts, wanted)
    assert "modules.boot" in ids(plan)
    assert "modules.load" not in ids(plan)
