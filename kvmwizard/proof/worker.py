"""The worker process that proves guests under a new kernel, before it is made the default."""

import os
import pwd
from collections.abc import Sequence

from kvmwizard.host.kernel import running_release
from kvmwizard.job import Job, Work, main_exit, note, run_job
from kvmwizard.plan.build_model import ProveGuests
from kvmwizard.proof.model import ProofLevel
from kvmwizard.proof.prove import prove
from kvmwizard.refusal import Refusal
from kvmwizard.words import say


class NotProved(Refusal):
    """Guests do not run under this kernel, or nobody can say."""


def prove_guests(job: Job) -> None:
    """Carry out a ProveGuests. Raises Refusal, OSError."""
    action = ProveGuests.model_validate(job.action)
    running = running_release()
    if running != action.release:
        raise NotProved(
            say(
                "Linux {running} runs, and guests are to be proved under Linux {release}. Restart into "
                "that, then retry.",
                running=running,
                release=action.release,
            )
        )
    proof = prove(
        action.qemu, provable_user(action.user), job.progress.tell, expected_kernel=running, on_level=_note
    )
    if not proof.good:
        raise NotProved(
            say(
                "{verdict} So Linux {release} is not made the default. To see each level, and what to do: "
                "kvmwizard verify. Then retry.",
                verdict=proof.verdict,
                release=action.release,
            )
        )


def provable_user(user: str) -> str | None:
    """Whom guests are proved for: the user, where root asks or the user does; else whoever asks."""
    caller = os.geteuid()
    try:
        return user if caller in {0, pwd.getpwnam(user).pw_uid} else None
    except KeyError:
        return user


def _note(level: ProofLevel) -> None:
    """For the step's log."""
    note(f"{level.id}: {level.outcome.value}: {level.found.english}")


WORK: dict[str, Work] = {"prove-guests": prove_guests}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    return run_job(argv, WORK)


if __name__ == "__main__":
    main_exit(main)
