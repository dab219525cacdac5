"""Welcome: what this is, and which way in."""

from typing import TYPE_CHECKING

from kvmwizard.words import Words, _
from screens.choice_page import ChoicePage
from screens.widgets.entries import Entry, Part, Sign

if TYPE_CHECKING:  # pydantic is read in after the first frame
    from kvmwizard.answers import AnswerModel
    from kvmwizard.host.facts import Facts


class WelcomePage(ChoicePage):
    """The first page."""

    PAGE = "welcome"

    def question(self) -> str:
        """What the wizard does, and what it does not do unasked."""
        return _(
            "kvmwizard takes this machine to a host where QEMU guests run with KVM, and proves it by "
            "running one. Nothing is changed before you have seen every step and agreed."
        )

    asks = question

    def entries(self) -> tuple[Entry, ...]:
        """The ways in need no facts."""
        return (
            Entry(
                id="packages",
                sign=Sign.CHOSEN,
                title=_("Packages"),
                detail=_("The distribution's own kernel and QEMU"),
                explanation=(
                    Part(_("What"), _("Installs what your distribution tests and keeps secure.")),
                    Part(_("Time"), _("A few minutes, most of them downloading.")),
                    Part(_("Undo"), _("What is installed or changed can be taken back at the end.")),
                ),
            ),
        )

    def choices(self, facts: "Facts") -> tuple[Entry, ...]:  # noqa: ARG002  -- the ways in need no facts
        """The ways in."""
        return self.entries()

    def current(self) -> "AnswerModel":
        """The way chosen; there is one."""
        from kvmwizard.answers import WelcomeAnswer  # noqa: PLC0415  -- pydantic would hold the first frame up

        return WelcomeAnswer()

    def pressed(self, entry: Entry) -> "AnswerModel | None":  # noqa: ARG002  -- there is one way in
        """The way in of this entry."""
        return self.current()

    def refusal(self, answer: "AnswerModel | None") -> Words | None:  # noqa: ARG002  -- a way in is always open
        """One can always go on from here."""
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no page before the first."""
        return action != "back" and super().check_action(action, parameters)
