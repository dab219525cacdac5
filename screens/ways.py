"""The three ways in: each keeps its own kernel and QEMU, so that changing one's mind loses nothing."""

from kvmwizard.answers import (
    Answers,
    DistributionKernel,
    DistributionQemu,
    KeepKernel,
    LocalQemu,
    WelcomeAnswer,
)
from kvmwizard.session import Session, Way

WAY_FIELDS = ("kernel", "kernel_build", "qemu", "qemu_build", "qemu_options")
"""The fields of `Answers` that belong to the way in; the others are the same on each."""


def on_way(session: Session, way: Way, book: Answers | None = None) -> Session:
    """The session on another way in; what was answered on the one that is left is kept in it.

    Args:
        session: the session as it is.
        way: the way to take.
        book: what the book's way answers on this machine; only for that way.
    """
    answers = session.answers
    left = answers.welcome.route if answers.welcome is not None else "packages"
    if left == way and answers.welcome is not None:
        return session
    others = dict(session.other_ways)
    if left != way:
        others[left] = Answers.model_validate({field: getattr(answers, field) for field in WAY_FIELDS})
    found = others.pop(way, None) or book or _without_builds(answers)
    changed = {field: getattr(found, field) for field in WAY_FIELDS}
    changed["welcome"] = WelcomeAnswer(route=way)
    return session.model_copy(update={"answers": answers.model_copy(update=changed), "other_ways": others})


def answered_on_the_way(session: Session) -> bool:
    """Whether anything was answered that another way in would put aside."""
    return any(getattr(session.answers, field) is not None for field in WAY_FIELDS)


def _without_builds(answers: Answers) -> Answers:
    """What holds on every way: a kernel and a QEMU that nothing must be built for."""
    kernel = answers.kernel
    qemu = answers.qemu
    return Answers(
        kernel=kernel if kernel and isinstance(kernel.kernel, KeepKernel | DistributionKernel) else None,
        qemu=qemu if qemu and isinstance(qemu.qemu, LocalQemu | DistributionQemu) else None,
        qemu_options=answers.qemu_options,
    )
