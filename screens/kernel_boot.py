"""How a built kernel booted as a guest before it was installed: what its step left behind."""

from dataclasses import dataclass
from pathlib import Path

from kvmwizard.plan.build_model import BootKernel
from kvmwizard.plan.model import Plan
from kvmwizard.product import read_stamp
from kvmwizard.words import _
from screens.widgets.entries import Entry, Part, Sign


@dataclass(frozen=True)
class KernelBoot:
    """One boot that went well: of a kernel that did not boot, the run has a failed step."""

    release: str
    accelerator: str
    """`kvm` or `tcg`."""
    seconds: float


def kernel_boot(plan: Plan) -> KernelBoot | None:
    """How the plan's kernel booted; None where it builds none, or nobody can say."""
    action = next(
        (action for step in plan.steps for action in step.actions if isinstance(action, BootKernel)), None
    )
    if action is None:
        return None
    try:
        stamp = read_stamp(Path(action.stamp))
        if stamp is None or stamp.identity != action.identity:
            return None
        about = stamp.about
        return KernelBoot(str(about["release"]), str(about["accelerator"]), float(about["seconds"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None


def boot_entry(boot: KernelBoot) -> Entry:
    """The line that says so."""
    seconds = f"{boot.seconds:.1f}"
    with_kvm = boot.accelerator == "kvm"
    found = (
        _("Linux {release} booted as a guest with KVM, before it was installed.", release=boot.release)
        if with_kvm
        else _(
            "Linux {release} booted as a guest without KVM, before it was installed.", release=boot.release
        )
    )
    note = Part(
        _("Note"), _("KVM of this machine did not run it then, so QEMU emulated the processor (TCG).")
    )
    return Entry(
        id="kernel-boot",
        sign=Sign.PASSED,
        title=_("The built kernel boots"),
        detail=_("{release}, with KVM", release=boot.release)
        if with_kvm
        else _("{release}, without KVM", release=boot.release),
        aside=_("{seconds} s", seconds=seconds),
        explanation=(Part(_("Found"), found), *(() if with_kvm else (note,))),
    )
