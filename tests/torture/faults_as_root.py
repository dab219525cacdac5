"""Strikes the root helper's own code with `faults.c`; runs as root inside a throwaway machine.

faults_as_root.py HELPER DRIVER FAULTS PAYLOAD DIGEST ACTION BACK KINDS EVERY TWICE
    DRIVER is tests/run/root_driver.py, FAULTS tests/torture/faults.py; KINDS a list of [kind, sticky].
    ACTION is struck at its first call, at the one EVERY calls later, and so on, each time looked at, done
    once more undisturbed and taken back by BACK; then taken back from where the fault left it; then BACK
    is struck in the same way. With TWICE not 0, every TWICE-th call is struck, and what is done about it.
    Prints what was counted, and what was amiss.
"""

import itertools
import json
import os
import runpy
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DRIVER = runpy.run_path(sys.argv[2], run_name="driver")
FAULTS = runpy.run_path(sys.argv[3], run_name="faults")
PLACES = [*DRIVER["PLACES"], "/etc/modules-load.d", "/var/lib/kvmwizard-packages"]

Json = dict[str, Any]
World = dict[str, str]

LISTS = {
    f"/var/lib/kvmwizard/installed/{name}.json" for name in ("qemu-10.1.0", "linux-image-6.1.192-kvmwizard")
}


class Battle:
    """Strikes at an action, and at what takes it back."""

    def __init__(self, control: Any, done: Any, back: Any) -> None:
        self._control, self._done, self._back = control, done, back
        self.counted: Counter[str] = Counter(points=0, twice=0, killed=0, refused=0, done=0, lost=0)
        self.amiss: list[str] = []
        self._before = world()
        self._done.do()
        self._after = world()
        self._back.do()

    def strike_everywhere(self, kind: str, sticky: bool, every: int) -> None:
        """At each call, with an end in both directions."""
        for fault in self._faults(kind, sticky, every):
            fired, outcome = self._strike(self._done, fault)
            if not fired:
                self._undo(f"{fault}, which did not come")
                return
            self._judge(fault, outcome)
            self._finish(f"{fault}")
            self._undo(f"{fault}, finished")
            self._strike(self._done, fault)
            self._undo(f"{fault}")

    def strike_back_everywhere(self, kind: str, sticky: bool, every: int) -> None:
        """At each call of taking it back."""
        for fault in self._faults(kind, sticky, every):
            self._done.do()
            fired, _ = self._strike(self._back, fault)
            self.counted["points"] += bool(fired)
            self._undo(f"back, {fault}")
            if not fired:
                return

    def strike_twice(self, kind: str, sticky: bool, every: int) -> None:
        """At each call, and then at each of what is done about it."""
        for first in self._faults(kind, sticky, every):
            if not all(self._strike_again(first, again, every) for again in (self._done, self._back)):
                return

    def _strike_again(self, first: Any, again: Any, every: int) -> bool:
        """Whether the first one came to pass."""
        for second in self._faults(first.kind, first.sticky, every):
            fired, _ = self._strike(self._done, first)
            fired_again, _ = self._strike(again, second)
            struck_twice = bool(fired and fired_again)
            self.counted.update(points=struck_twice, twice=struck_twice)
            self._finish(f"{first}, then {second}")
            self._undo(f"{first}, then {second}")
            if not fired or not fired_again:
                return bool(fired)
        raise AssertionError

    def _faults(self, kind: str, sticky: bool, every: int) -> Iterator[Any]:
        return (FAULTS["Fault"](kind, at, sticky) for at in itertools.count(1, every))

    def _strike(self, tree: Any, fault: Any) -> tuple[int, Json | None]:
        """How many calls met the fault, and what the helper reported; None where it was killed."""
        reading, writing = os.pipe()
        self._control.arm(fault, PLACES)
        child = os.fork()
        if child == 0:
            os.write(writing, json.dumps(tree.do()).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            said = answer.read()
        os.waitpid(child, 0)
        fired: int = self._control.disarm().fired
        return fired, json.loads(said) if said else None

    def _judge(self, fault: Any, outcome: Json | None) -> None:
        self.counted["points"] += 1
        if outcome is None:
            self.counted["killed"] += 1
        elif outcome["code"] is None:
            self.counted["done"] += 1
            self._expect([self._after], f"{fault}, called done", outcome)
        else:
            self.counted["refused"] += 1
            # A disk that goes on failing keeps even what is to be removed; one that failed once does not.
            if not fault.sticky and not self._only_unlisted():
                self._expect([self._before, self._after], f"{fault}, refused", outcome)

    def _only_unlisted(self) -> bool:
        """All is in place, but for root's list that would call it finished: to the plan nothing is there."""
        return {path for path, _ in world().items() ^ self._after.items()} == set(LISTS & world().keys())

    def _finish(self, name: str) -> None:
        outcome = self._done.do()
        self._expect([self._after], f"{name}, done again", outcome, good=True)

    def _undo(self, name: str) -> None:
        outcome = self._back.do()
        self._expect([self._before], f"{name}, taken back", outcome, good=True)

    def _expect(self, wanted: list[World], name: str, outcome: Json, *, good: bool = False) -> None:
        there = world()
        if there not in wanted or (good and outcome["code"] is not None):
            self.counted["lost"] += 1
            self.amiss.append(f"{name}: {outcome}, {sorted(there.items() ^ wanted[0].items())}")


def world() -> World:
    """What the driver sees, and root's own file of modules."""
    found: World = DRIVER["world"]()
    for path in Path("/etc/modules-load.d").glob("*kvmwizard*"):
        found[str(path)] = f"{path.lstat().st_mode:o} {path.read_text(encoding='ascii')}"
    return found


def main() -> None:
    """See the module."""
    payload, digest, action, back, kinds, every, twice = sys.argv[4:]
    control = FAULTS["Control"](Path(os.environ["FAULTS_CONTROL"]))
    tree = DRIVER["Tree"]
    battle = Battle(control, tree(action, payload, digest), tree(back))
    for kind, sticky in json.loads(kinds):
        battle.strike_everywhere(kind, sticky, int(every))
        battle.strike_back_everywhere(kind, sticky, int(every))
        if int(twice):
            battle.strike_twice(kind, sticky, int(twice))
    sys.stdout.write(json.dumps({"counted": battle.counted, "amiss": battle.amiss}))


if __name__ == "__main__":
    main()
