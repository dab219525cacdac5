"""What the tests of doing a thing twice share: which kinds there are, and where else one is tried."""

from pathlib import Path
from typing import Any, get_args

from kvmwizard.plan.model import Action, Condition, Step

TESTS = Path(__file__).parents[1]


def kinds(union: Any) -> set[str]:
    """The kinds of an annotated union of models."""
    members, _ = get_args(union)
    return {each.model_fields["kind"].default for each in get_args(members)}


EVERY_KIND = kinds(Action) | kinds(Condition)
"""Of what is done, and of what shows whether it is done."""


def kinds_of(*steps: Step) -> set[str]:
    """The kinds that these steps are made of."""
    return {each.kind for step in steps for each in (*step.actions, *step.conditions)}


_HERE = "torture/test_twice.py"
_BOOT = f"{_HERE}::test_the_boot_loader_s_choice_is_made_once_and_mended"
_PROOF = f"{_HERE}::test_what_no_look_at_the_machine_shows_is_shown_anew_every_time"
_RESTART = "test_of_a_kernel_that_did_not_come_up_it_is_said_and_the_next_try_starts_it_once_more"
TRIED_ELSEWHERE = {
    "unpack-packages": f"{_HERE}::test_unpacked_packages_are_mended_and_else_left_alone",
    "set-next-boot": _BOOT,
    "boots-next": _BOOT,
    "set-default-boot": _BOOT,
    "boots-by-default": _BOOT,
    "kernel-runs": f"run/test_restart_runs.py::{_RESTART}",
    "prove-guests": _PROOF,
    "guests-proved": _PROOF,
}
"""The test of a kind that needs surroundings of its own, by the kind."""


def is_there(test: str) -> bool:
    """Whether there is such a test."""
    path, _, name = test.partition("::")
    return f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")
