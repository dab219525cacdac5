"""The steps from an installed kernel to the default one: across a restart of the machine."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kvmwizard.checks import evidence
from kvmwizard.checks.iommu import boot_line_can_be_set
from kvmwizard.host.facts import Facts
from kvmwizard.host.grub_storage import PLAIN
from kvmwizard.host.reading import Unknown, known
from kvmwizard.packages.distributions import expected
from kvmwizard.plan.build_model import (
    BootsByDefault,
    BootsNext,
    GuestsProved,
    KernelRuns,
    ProveGuests,
    SetDefaultBoot,
    SetNextBoot,
)
from kvmwizard.plan.kernel import saved_default
from kvmwizard.plan.model import Step
from kvmwizard.words import Words, say

RESTART_SECONDS = 60.0
PROOF_SECONDS = 10.0
STORAGES = {"lvm": "LVM", "raid": "RAID"}

RESTART_NOTE = say(
    "The new kernel runs after the next restart; until then the present one stays. kvmwizard does not "
    "restart the machine. The present kernel stays in the boot menu."
)

Way = Literal["once", "menu", "left", "runs"]
"""How a kernel comes to run for the first time: GRUB starts it once; or the person picks it in GRUB's
menu, where GRUB cannot forget a choice; or whoever starts this machine chooses; or it runs already.
"""


@dataclass(frozen=True)
class NewKernel:
    """A kernel that the plan installs."""

    release: str
    built: bool
    """Here, from source."""
    installed_by: tuple[str, ...]
    """The steps after which it is in the boot menu."""


def way_to_boot(facts: Facts, release: str) -> Way:
    """How this kernel comes to run for the first time."""
    running = facts.kernel.release
    if running == release:
        return "runs"
    can_choose = (
        boot_line_can_be_set(facts)
        and isinstance(running, str)
        and running in known(facts.kernel.installed_releases, ())
    )
    if not can_choose:
        return "left"
    # GRUB on Open Firmware writes nothing, whatever it lies on (its manual, as in host.grub_storage).
    plain = facts.distribution.grub_storage == PLAIN and not evidence.is_power(facts)
    return "once" if plain else "menu"


def choice_steps(facts: Facts, kernel: NewKernel) -> tuple[Step, ...]:
    """What is chosen before the restart, so that a kernel that fails does no harm."""
    way = way_to_boot(facts, kernel.release)
    conditions, actions = saved_default()
    running = known(facts.kernel.release, "")
    needs = (*kernel.installed_by, "boot.iommu")
    seconds = expected("boot.iommu").seconds
    if way == "once":
        return (
            Step(
                id="kernel.boot-once",
                title=say("Start Linux {release} once, at the next restart", release=kernel.release),
                needs=needs,
                root=True,
                seconds=seconds,
                conditions=(*conditions, BootsNext(release=kernel.release)),
                actions=(*actions, SetNextBoot(release=kernel.release, otherwise=running)),
            ),
        )
    if way == "menu":
        return (
            Step(
                id="kernel.keep",
                title=say("Keep Linux {running} the default until the new kernel has run", running=running),
                needs=needs,
                root=True,
                seconds=seconds,
                conditions=(*conditions, BootsByDefault(release=running)),
                actions=(*actions, SetDefaultBoot(release=running)),
            ),
        )
    return ()


def restart_steps(
    facts: Facts, kernel: NewKernel, user: str, qemu: str | None, others: Iterable[str]
) -> tuple[Step, ...]:
    """The restart, after all other steps; the proof under the new kernel; only then is it the default."""
    way = way_to_boot(facts, kernel.release)
    if way == "runs" and not kernel.built:
        return ()
    restart = _restart_step(kernel.release, tuple(others))
    proof = _proof_step(kernel.release, user, qemu, ("kernel.restart", *kernel.installed_by))
    steps = (proof,) if way == "runs" else (restart, proof)
    return (*steps, _default_step(kernel.release)) if way != "left" and boot_line_can_be_set(facts) else steps


@dataclass(frozen=True)
class BootNotes:
    """What the person should know of the restart."""

    until_default: tuple[Words, ...] = ()
    """What nobody needs any more once the kernel runs and is the default."""
    ever_after: tuple[Words, ...] = ()


def boot_notes(facts: Facts, kernel: NewKernel) -> BootNotes:
    """Which kernel starts when, and what is to be done after the restart."""
    way = way_to_boot(facts, kernel.release)
    if way == "runs":
        return BootNotes()
    if way == "left":
        return BootNotes((RESTART_NOTE, _left_note(kernel.release)))
    running = known(facts.kernel.release, "")
    once = way == "once"
    note = _once_note(kernel.release, running) if once else _menu_note(facts, kernel.release, running)
    later = say(
        "Once Linux {release} is the default, a newer kernel of the distribution does not become it by "
        "itself. Choose that one with grub-set-default, or undo this run.",
        release=kernel.release,
    )
    return BootNotes((RESTART_NOTE, note), (later,))


def _left_note(release: str) -> Words:
    return say(
        "kvmwizard cannot choose here which kernel starts next: the boot loader does. If Linux {release} "
        "does not start by itself, pick it in the boot menu when you restart. Then open kvmwizard again, or "
        "run kvmwizard verify: it looks whether that kernel runs, and proves that guests run with it.",
        release=release,
    )


def _once_note(release: str, running: str) -> Words:
    return say(
        "The next restart starts Linux {release} once; the one after that starts {running} again, so a "
        "kernel that fails does no harm: should the machine hang, reset it. When the new one runs, open "
        "kvmwizard again, or run kvmwizard verify: once guests have run with it, it is made the default.",
        release=release,
        running=running,
    )


def _menu_note(facts: Facts, release: str, running: str) -> Words:
    """What happens where nobody can promise a start of one kernel once."""
    storage = facts.distribution.grub_storage
    if evidence.is_power(facts) or isinstance(storage, Unknown):
        return say(
            "GRUB cannot be relied on here to start a kernel just once, so {running} stays the default. Pick "
            "Linux {release} in GRUB's menu when you restart, below the advanced options; that takes a "
            "console. When it runs, open kvmwizard again, or run kvmwizard verify: once guests have run with "
            "it, it is made the default.",
            release=release,
            running=running,
        )
    return say(
        "GRUB cannot write where its files are, on {storage}, so it cannot start a kernel just once, and "
        "{running} stays the default. Pick Linux {release} in GRUB's menu when you restart, below the "
        "advanced options; that takes a console. When it runs, open kvmwizard again, or run kvmwizard "
        "verify: once guests have run with it, it is made the default.",
        storage=STORAGES.get(storage, storage),
        release=release,
        running=running,
    )


def _restart_step(release: str, others: tuple[str, ...]) -> Step:
    return Step(
        id="kernel.restart",
        title=say("Restart the machine into Linux {release}", release=release),
        needs=others,
        root=False,
        seconds=RESTART_SECONDS,
        conditions=(KernelRuns(release=release),),
        actions=(),
    )


def _proof_step(release: str, user: str, qemu: str | None, needs: tuple[str, ...]) -> Step:
    return Step(
        id="kernel.proof",
        title=say("Prove that guests run under Linux {release}", release=release),
        needs=needs,
        root=False,
        uses=("processor",),
        seconds=PROOF_SECONDS,
        conditions=(GuestsProved(release=release, user=user),),
        actions=(ProveGuests(release=release, user=user, qemu=qemu),),
    )


def _default_step(release: str) -> Step:
    conditions, actions = saved_default()
    return Step(
        id="kernel.default",
        title=say("Start Linux {release} from now on", release=release),
        needs=("kernel.proof",),
        root=True,
        seconds=expected("boot.iommu").seconds,
        conditions=(*conditions, BootsByDefault(release=release)),
        actions=(*actions, SetDefaultBoot(release=release)),
    )
