"""QEMU: which one guests shall run under."""

from kvmwizard.answers import (
    AnswerModel,
    DistributionQemu,
    GitQemu,
    LocalQemu,
    LocalSourceQemu,
    QemuAnswer,
    ReleaseQemu,
    native_emulators,
)
from kvmwizard.host.facts import Facts
from kvmwizard.host.qemu import QemuBinary
from kvmwizard.host.reading import known
from kvmwizard.words import _
from screens.source_page import SourcePage, built_by
from screens.widgets.entries import Entry, Part, Sign


class QemuPage(SourcePage):
    """The distribution's package, a QEMU already here, or one that is built."""

    PAGE = "qemu"
    PROJECT = "qemu"

    def asks(self) -> str:
        """The question, and what is still being waited for."""
        if self.state.offers is None:
            return _("Which QEMU shall run guests? Asking the package manager for its version …")
        return _("Which QEMU shall run guests?")

    def choices(self, facts: Facts) -> tuple[Entry, ...]:
        """The package first, then each QEMU found, then what can be built."""
        chosen = self._chosen()
        here = tuple(local_entry(binary, chosen) for binary in native_emulators(facts))
        return (self._package_entry(chosen), *here, *self.source_entries())

    def _package_entry(self, chosen: str) -> Entry:
        offer = self.state.offers.qemu if self.state.offers is not None else None
        return Entry(
            id="distribution",
            sign=Sign.CHOSEN if chosen == "distribution" else Sign.UNCHOSEN,
            title=_("The distribution's package"),
            detail=f"{offer.package} {offer.version}" if offer is not None else "",
            explanation=(
                Part(
                    _("What"),
                    _("Installs QEMU by the package manager, or leaves it as it is where it is installed."),
                ),
                Part(
                    _("Good for"),
                    _("Nearly everything: it is tested with this distribution and gets its security fixes."),
                ),
            ),
        )

    def _chosen(self) -> str:
        """The chosen entry's id."""
        answer = self.current()
        if answer is None:
            return "distribution"
        return answer.qemu.path if isinstance(answer.qemu, LocalQemu) else answer.qemu.source

    def current(self) -> QemuAnswer | None:
        """The QEMU chosen."""
        return self.state.answers.qemu

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """The answer of this entry."""
        if entry.id == "distribution":
            return QemuAnswer(qemu=DistributionQemu())
        return QemuAnswer(qemu=LocalQemu(path=entry.id))

    def built(self) -> tuple[str, str, str] | None:
        """The QEMU that is built."""
        return built_by(self.state.answers, self.PROJECT)

    def with_source(self, kind: str, text: str, version: str) -> QemuAnswer:
        """The answer for a QEMU from source. Raises ValueError where the text cannot be it."""
        if kind == "release":
            return QemuAnswer(qemu=ReleaseQemu(version=text))
        if kind == "git":
            return QemuAnswer(qemu=GitQemu(tag=text))
        return QemuAnswer(qemu=LocalSourceQemu(path=text, version=version))


def local_entry(binary: QemuBinary, chosen: str) -> Entry:
    """A QEMU that is already here."""
    return Entry(
        id=binary.path,
        sign=Sign.CHOSEN if binary.path == chosen else Sign.UNCHOSEN,
        title=_("Already here"),
        detail=f"{binary.path} {known(binary.version, '')}",
        explanation=(
            Part(_("What"), _("Uses {path} as it is; no QEMU is installed.", path=binary.path)),
            Part(_("Note"), _("The proof at the end shows whether it runs guests with KVM.")),
        ),
    )
