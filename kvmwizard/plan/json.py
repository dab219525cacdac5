"""The plan as JSON, for programs; never translated."""

from collections.abc import Mapping
from typing import Any

from kvmwizard.plan.model import Plan, Step, plan_digest
from kvmwizard.plan.shell import shell_lines
from kvmwizard.words import Words


def plan_report(plan: Plan, evidence: Mapping[str, Words]) -> dict[str, Any]:
    """One object; `evidence` is by step id what shows that its work is done already."""
    return {
        "digest": plan_digest(plan),
        "undoes": plan.undoes,
        "user": plan.user,
        "builder": plan.builder,
        "build_folder": plan.build_folder,
        "qemu": plan.qemu,
        "kernel_release": plan.kernel_release,
        "only_shown": plan.only_shown.english if plan.only_shown else None,
        "notes": [note.english for note in plan.notes],
        "needs_root": plan.needs_root,
        "seconds": sum(step.seconds for step in plan.steps if step.id not in evidence),
        "disk_bytes": sum(step.disk_bytes for step in plan.steps if step.id not in evidence),
        "steps": [_step(step, evidence.get(step.id)) for step in plan.steps],
    }


def _step(step: Step, evidence: Words | None) -> dict[str, Any]:
    return {
        "id": step.id,
        "title": step.title.english,
        "needs": list(step.needs),
        "root": step.root,
        "uses": list(step.uses),
        "seconds": step.seconds,
        "disk_bytes": step.disk_bytes,
        "required": step.required,
        "lasting": step.lasting.english if step.lasting else None,
        "already_so": evidence.english if evidence else None,
        "conditions": [condition.model_dump(mode="json") for condition in step.conditions],
        "actions": [action.model_dump(mode="json") for action in step.actions],
        "shell": [line for action in step.actions for line in shell_lines(action)],
    }
