"""Identities: digests of everything that a product depends on.

The same wishes find their product again, wherever it lies and whichever mirror
it came from; other wishes do not take it for theirs.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from kvmwizard.plan.base import PlanModel
from kvmwizard.resources import asset_path

RECIPE = 1
"""Counts up when a worker makes something else of the same action than an older kvmwizard did."""

NOT_COUNTED = frozenset(
    {
        # what is computed here, and where things lie
        "identity",
        "stamp",
        "archive",
        "base_file",
        "build",
        "firmware",
        "folder",
        "image",
        "path",
        "payload",
        "repository",
        "stage",
        "totals",
        "tree",
        # where and how fast it is got or made
        "jobs",
        "seconds",
        "urls",
    }
)
"""Fields, of actions and of proofs within them, on which the product does not depend."""

UNKNOWN_IDENTITY = "0" * hashlib.sha256().digest_size * 2
"""What an action is given before `identified` has computed its own."""

IdentifiedAction = TypeVar("IdentifiedAction", bound=PlanModel)


def identity_of(action: PlanModel, made_from: Iterable[str] = ()) -> str:
    """The SHA-256 of what decides the product, as hexadecimal.

    Args:
        action: what makes it; all fields but `NOT_COUNTED` count.
        made_from: identities of the products that go into it, and whatever else decides it.
    """
    content = {
        "recipe": RECIPE,
        "action": _counted(action.model_dump(mode="json")),
        "made_from": list(made_from),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def identified(action: IdentifiedAction, made_from: Iterable[str] = ()) -> IdentifiedAction:
    """The action with its identity in place of `UNKNOWN_IDENTITY`."""
    return action.model_copy(update={"identity": identity_of(action, made_from)})


def asset_digests(names: Iterable[str]) -> tuple[str, ...]:
    """SHA-256 of our own patches and headers, so that a mended one makes another product.

    Each name is relative to the assets folder; a folder stands for the files in it.
    """
    return tuple(_asset_digest(asset_path(name)) for name in names)


def _asset_digest(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(path).as_posix()
        digest.update(f"{name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _counted(value: object) -> object:
    if isinstance(value, dict):
        return {name: _counted(each) for name, each in value.items() if name not in NOT_COUNTED}
    if isinstance(value, list):
        return [_counted(each) for each in value]
    return value
