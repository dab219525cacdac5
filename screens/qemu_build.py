"""QEMU build: for which machines, with what, and where it is installed."""

from collections.abc import Mapping
from typing import ClassVar

from kvmwizard.answers import QemuBuildAnswer
from kvmwizard.catalog.chosen import chosen_qemu
from kvmwizard.catalog.qemu_flags import build_targets, install_prefix
from kvmwizard.host.facts import Facts
from kvmwizard.words import _, say
from screens.build_page import FOLDER, JOBS, BuildPage, Switched, Typed
from screens.field_rules import names, names_or_none, text_or_none
from screens.widgets.entries import Entry


class QemuBuildPage(BuildPage):
    """How QEMU is configured, compiled and installed."""

    PAGE = "qemu_build"
    PROJECT = "qemu"
    TYPED: ClassVar[Mapping[str, Typed]] = {
        "targets": Typed(
            say("Machines"),
            say(
                "For which guests a program is built, as x86_64-softmmu; more than one with spaces between "
                "them. Empty: for guests like this machine, which alone can use KVM. Each more takes time."
            ),
            names_or_none,
        ),
        "prefix": Typed(
            say("Installed in"),
            say(
                "A folder below /opt/kvmwizard or /usr/local. Empty: one of its own, so that it replaces no "
                "other QEMU."
            ),
            text_or_none,
        ),
        "flags": Typed(
            say("More flags"),
            say(
                "Flags for this version's configure beside those of the lines above, with spaces between "
                "them, as --enable-numa. Of two that contradict each other the later counts."
            ),
            names,
        ),
        "jobs": JOBS,
        "folder": FOLDER,
    }
    SWITCHED: ClassVar[Mapping[str, Switched]] = {
        "kvm": Switched(
            say("KVM"), say("Guests run on the processor itself. Without it every instruction is emulated.")
        ),
        "vhost": Switched(
            say("vhost"), say("Guests' network packets are moved by the kernel, which is faster.")
        ),
        "slirp": Switched(
            say("User networking (slirp)"),
            say("A guest reaches the network without any right of the user's; nobody reaches the guest."),
        ),
        "docs": Switched(
            say("Manual"), say("Builds the manual as well, which needs Sphinx and takes longer.")
        ),
    }

    def asks(self) -> str:
        """The question."""
        return _("How shall QEMU {version} be built?", version=self.version())

    def current(self) -> QemuBuildAnswer | None:
        """How QEMU is built."""
        return self.state.answers.qemu_build

    def version(self) -> str:
        """QEMU's."""
        chosen = chosen_qemu(self.state.answers)
        return chosen.version.text if chosen is not None else ""

    def choices(self, facts: Facts) -> tuple[Entry, ...]:
        """What must be agreed to, then what is built, then how."""
        if self.current() is None or not self.version():
            return ()
        return (
            *self.verdict_entries(),
            self.typed_entry("targets", facts),
            *(self.switched_entry(field) for field in self.SWITCHED),
            *(self.typed_entry(field, facts) for field in ("prefix", "flags", "jobs", "folder")),
        )

    def shown(self, field: str, facts: Facts) -> str:
        """The value of a typed field as it is, or what stands for none."""
        answer = self.current()
        if answer is None:
            return ""
        if field == "targets":
            return " ".join(build_targets(answer, facts.processor.architecture))
        if field == "prefix":
            return install_prefix(self.version(), answer)
        if field == "flags":
            return " ".join(answer.flags) or _("none")
        return self.shown_common(field, facts)
