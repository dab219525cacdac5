"""Kernel: which one this host shall run."""

from kvmwizard.answers import (
    AnswerModel,
    DistributionKernel,
    GitKernel,
    KeepKernel,
    KernelAnswer,
    LocalSourceKernel,
    ReleaseKernel,
)
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import known
from kvmwizard.words import _
from screens.source_page import SourcePage, built_by
from screens.widgets.entries import Entry, Part, Sign


class KernelPage(SourcePage):
    """Keep the running kernel, install the distribution's newest, or build one."""

    PAGE = "kernel"
    PROJECT = "linux"

    def asks(self) -> str:
        """The question, and what is still being waited for."""
        if self.state.offers is None:
            return _("Which kernel shall run guests? Asking the package manager what it offers …")
        if self.state.offers.kernel is None:
            return _("Which kernel shall run guests? The package manager offers no other one here.")
        return _("Which kernel shall run guests?")

    def choices(self, facts: Facts) -> tuple[Entry, ...]:
        """The running kernel, what the package manager offers, and what can be built."""
        answer = self.current()
        keeps = answer is None or isinstance(answer.kernel, KeepKernel)
        running = Entry(
            id="keep",
            sign=Sign.CHOSEN if keeps else Sign.UNCHOSEN,
            title=_("Keep the running kernel"),
            detail=known(facts.kernel.release, ""),
            explanation=(
                Part(_("What"), _("Nothing about the kernel changes, and no restart is needed.")),
                Part(
                    _("Good for"),
                    _("Every machine on which guests run already, or only modules are missing."),
                ),
            ),
        )
        return (running, *self._distribution_kernel(), *self.source_entries())

    def _distribution_kernel(self) -> tuple[Entry, ...]:
        offered = self._offered()
        if offered is None:
            return ()
        answer = self.current()
        chosen = answer is not None and isinstance(answer.kernel, DistributionKernel)
        what = _(
            "Installs {package}. The running kernel stays and can be started as before.",
            package=offered.package,
        )
        parts = [Part(_("What"), what)]
        offer = self.state.offers.kernel if self.state.offers is not None else None
        if offer is not None and not offer.newer_than_running:
            parts.append(Part(_("Note"), _("It is not newer than the kernel that runs now.")))
        parts.append(Part(_("After"), _("The new kernel runs after the next restart of this machine.")))
        return (
            Entry(
                id="distribution",
                sign=Sign.CHOSEN if chosen else Sign.UNCHOSEN,
                title=_("The distribution's newest"),
                detail=f"{offered.package} {offered.version}",
                explanation=tuple(parts),
            ),
        )

    def _offered(self) -> DistributionKernel | None:
        """What the package manager offers now, else what was chosen when it did."""
        offer = self.state.offers.kernel if self.state.offers is not None else None
        if offer is not None:
            return DistributionKernel(package=offer.package, version=offer.version, release=offer.release)
        answer = self.current()
        chosen = answer.kernel if answer is not None else None
        return chosen if isinstance(chosen, DistributionKernel) else None

    def current(self) -> KernelAnswer | None:
        """The kernel chosen."""
        return self.state.answers.kernel

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """The answer of this entry."""
        offered = self._offered()
        if entry.id == "distribution" and offered is not None:
            return KernelAnswer(kernel=offered)
        return KernelAnswer(kernel=KeepKernel())

    def built(self) -> tuple[str, str, str] | None:
        """The kernel that is built."""
        return built_by(self.state.answers, self.PROJECT)

    def with_source(self, kind: str, text: str, version: str) -> KernelAnswer:
        """The answer for a kernel from source. Raises ValueError where the text cannot be it."""
        if kind == "release":
            return KernelAnswer(kernel=ReleaseKernel(version=text))
        if kind == "git":
            return KernelAnswer(kernel=GitKernel(tag=text))
        return KernelAnswer(kernel=LocalSourceKernel(path=text, version=version))
