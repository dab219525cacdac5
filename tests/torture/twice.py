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


TRIED_ELSEWHERE = {
    "unpack-packages": "torture/test_twice.py::test_unpacked_packages_are_mended_and_else_left_alone",
    "set-next-boot": "torture/test_twice.py::test_the_boot_loader_s_choice_is_made_once_and_mended",
    "boots-next": "torture/test_twice.py::test_the_boot_loader_s_choice_is_made_once_and_mended",
}
"""The test of a kind that needs surroundings of its own, by the kind."""


def is_there(test: str) -> bool:
    """Whether there is such a test."""
    path, _, name = test.partition("::")
    return f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")
