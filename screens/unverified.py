"""Using a file that nothing vouches for: only when the person says so, in words, for that file."""

from dataclasses import dataclass

from kvmwizard.answers import Answers, KernelAnswer, QemuAnswer
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.sources import Project
from kvmwizard.fetch.refused import UNPROVEN
from kvmwizard.plan.build_model import DownloadSource, FetchTag
from kvmwizard.plan.model import Step
from kvmwizard.run.model import RunState, StepStatus
from kvmwizard.words import Words, _, say
from screens.text_dialog import TextDialog


@dataclass(frozen=True)
class Unproven:
    """A file or a tag that nothing vouches for."""

    project: Project
    name: str


def unproven_in(state: RunState) -> Unproven | None:
    """What a step of the run refused because nothing vouches for it; None where none did."""
    for step in state.plan.steps:
        stands = state.steps[step.id]
        if stands.status is StepStatus.FAILED and stands.code == UNPROVEN:
            return fetched_by(step)
    return None


def fetched_by(step: Step) -> Unproven | None:
    """What the step fetches; None where it fetches nothing."""
    for action in step.actions:
        if isinstance(action, DownloadSource):
            return Unproven(action.project, action.path.rpartition("/")[2])
        if isinstance(action, FetchTag):
            return Unproven(action.project, action.tag)
    return None


def naming_dialog(name: str) -> TextDialog:
    """Asks for the name, which is the agreement."""

    def rule(text: str) -> Words | None:
        if text.strip() == name:
            return None
        return say("That is not its name. Type {name}, or leave it with Esc.", name=name)

    question = _(
        "Nothing shows that {name} is what its authors published. Whoever changed it on its way here could "
        "make this machine do anything, as root in the end. To use it all the same, type its name: {name}",
        name=name,
    )
    return TextDialog(question, rule=rule)


def with_agreement(answers: Answers, unproven: Unproven) -> KernelAnswer | QemuAnswer | None:
    """The page's answer with the agreement in it; None where nothing of the project is built."""
    agreed = {"unverified": unproven.name}
    if unproven.project == "linux":
        kernel = chosen_kernel(answers)
        return None if kernel is None else KernelAnswer(kernel=kernel.source.model_copy(update=agreed))
    qemu = chosen_qemu(answers)
    return None if qemu is None else QemuAnswer(qemu=qemu.source.model_copy(update=agreed))
