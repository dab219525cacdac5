"""Does one action with the root helper's own code; runs as root inside a throwaway machine.

root_driver.py HELPER do PAYLOAD DIGEST ACTION
    Carries the action out, and prints what came of it.
root_driver.py HELPER each PAYLOADS "" ACTION
    As do, for each of the payloads: a JSON object, by name the payload in base64 and its digest.
root_driver.py HELPER cut PAYLOAD DIGEST ACTION
    Carries the action out, killed (SIGKILL) at the first command that it would run. Prints whether it was.
root_driver.py HELPER kill PAYLOAD DIGEST ACTION BACK
    Carries ACTION out again and again, killed (SIGKILL) at its first change of a file, at its second,
    and so on, each time finished by a second try and taken back by BACK; then BACK in the same way.
    Prints how often it was killed, and after which kills the files were not as without one.
"""

import base64
import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELPER = runpy.run_path(sys.argv[1], run_name="helper")
CHANGES = ("fchmod", "fsync", "mkdir", "open", "rename", "rmdir", "unlink")
PLACES = ("/boot", "/opt/kvmwizard", "/usr/lib/modules", "/var/lib/kvmwizard")

Json = dict[str, Any]


class Tree:
    """An action, and what it needs."""

    def __init__(self, action: str, payload: str = "", digest: str = "") -> None:
        self.action, self.payload, self.digest = json.loads(action), payload, digest

    def do(self) -> Json:
        """What the helper reports of it."""
        descriptors = [os.open("/tmp/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) for _ in range(2)]
        if self.payload:
            descriptors.append(os.open(self.payload, os.O_RDONLY))
        report: Json = {}
        HELPER["Work"](descriptors, "", self.digest).carry_out([self.action], report)
        outcome: Json = report["outcome"]
        return outcome

    def do_killed_at(self, number: int) -> bool:
        """Whether a process that does it came as far as its change of that number, and was killed there."""
        return self._is_killed(lambda: die_at(number))

    def do_killed_at_command(self) -> bool:
        """Whether a process that does it came as far as its first command, and was killed there."""
        return self._is_killed(die_at_command)

    def _is_killed(self, prepare: Callable[[], None]) -> bool:
        child = os.fork()
        if child == 0:
            prepare()
            self.do()
            os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def die_at_command() -> None:
    """Kill this process instead of starting another."""

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    subprocess.Popen.__init__ = die  # type: ignore[method-assign]  # whoever starts it, by whatever name


def die_at(number: int) -> None:
    """Kill this process at its change of that number."""
    left = [number]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in CHANGES:
        setattr(os, name, dying(getattr(os, name)))


def world() -> dict[str, str]:
    """Every folder and file below PLACES, with mode and content."""
    found = {}
    for place in PLACES:
        for folder, folders, names in os.walk(place):
            # Of the list's own folder, an empty one may be left by a kill at the very end.
            if not folder.startswith("/var"):
                found.update({str(Path(folder, name)): "folder" for name in folders})
            for path in (Path(folder, name) for name in names):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = f"{path.lstat().st_mode:o} {content}"
    return found


def killed_at_every_change(done: Tree, back: Tree) -> tuple[int, list[str]]:
    """How often it was killed, and what was amiss when it had been finished and taken back."""
    before = world()
    done.do()
    after = world()
    amiss: list[str] = []
    number = 0
    while True:
        back.do()
        if world() != before:
            amiss.append(f"{number}, taken back: {sorted(world().items() ^ before.items())}")
        number += 1
        if not done.do_killed_at(number):
            return number - 1, amiss
        outcome = done.do()
        if outcome["code"] is not None or world() != after:
            amiss.append(f"{number}, finished: {outcome} {sorted(world().items() ^ after.items())}")


def done_with_each(action: str, payloads: dict[str, list[str]]) -> Json:
    """What the helper reports, by the payload's name."""
    outcomes = {}
    for name, (encoded, digest) in payloads.items():
        Path("/tmp/each").write_bytes(base64.b64decode(encoded))
        outcomes[name] = Tree(action, "/tmp/each", digest).do()
    return outcomes


def main() -> None:
    """See the module."""
    verb, payload, digest, action, *rest = sys.argv[2:]
    if verb == "each":
        sys.stdout.write(json.dumps(done_with_each(action, json.loads(Path(payload).read_bytes()))))
        return
    tree = Tree(action, payload, digest)
    if verb == "do":
        sys.stdout.write(json.dumps(tree.do()))
        return
    if verb == "cut":
        sys.stdout.write(json.dumps(tree.do_killed_at_command()))
        return
    back = Tree(rest[0])
    kills, amiss = killed_at_every_change(tree, back)
    kills_back, amiss_back = killed_at_every_change(back, tree)
    sys.stdout.write(json.dumps({"kills": [kills, kills_back], "amiss": [*amiss, *amiss_back]}))


if __name__ == "__main__":
    main()
