"""What root installs and takes back, struck at every call that changes a file, in a throwaway machine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.plan.build_model import RemoveTree
from kvmwizard.plan.model import Action, RemoveFile, WriteFile
from tests.conftest import Counts, Tries
from tests.machine.machine import ThrowawayMachine
from tests.run.trees import KERNEL, KERNEL_NAME, QEMU, QEMU_NAME, Root, install_kernel, install_qemu, packed
from tests.torture import faults
from tests.torture.faults import ALL, ENDINGS, ERRORS, Control, compile_library, why_no_faults

pytestmark = pytest.mark.root

AS_ROOT = Path(__file__).with_name("faults_as_root.py")
MODULES = "/etc/modules-load.d/kvmwizard.conf"
TWICE = (("kill", False), ("ENOSPC", False), ("EIO", True))


@dataclass(frozen=True)
class Strikes:
    """What befalls an action: the kinds of faults, at every how manieth call, and, if at all, twice."""

    every: int
    twice: int = 0
    kinds: Sequence[tuple[str, bool]] = ALL


class StruckRoot(Root):
    """The helper's hands in a machine, under the library."""

    def __init__(self, machine: ThrowawayMachine, folder: Path) -> None:
        super().__init__(machine)
        library = compile_library(folder)
        machine.path("/opt/faults.so").write_bytes(library.read_bytes())
        for source in (AS_ROOT, Path(faults.__file__)):
            machine.path(f"/opt/{source.name}").write_bytes(source.read_bytes())
        Control.make(machine.path("/opt/control"))

    def battle(self, payload: tuple[bytes, str], action: Action, back: Action, strikes: Strikes) -> Any:
        """What was counted, and what was amiss."""
        self.machine.path("/tmp/payload").write_bytes(payload[0])
        argv = ["/usr/bin/python3", "-I", "/opt/faults_as_root.py", "/opt/root_helper.py", "/opt/driver.py"]
        argv += ["/opt/faults.py", "/tmp/payload" if payload[1] else "", payload[1]]
        argv += [action.model_dump_json(), back.model_dump_json(), json.dumps(strikes.kinds)]
        argv += [str(strikes.every), str(strikes.twice)]
        environment = {"LD_PRELOAD": "/opt/faults.so", "FAULTS_CONTROL": "/opt/control"}
        said = json.loads(self.machine.do(argv, env=environment, timeout=7200))
        check_it_was_struck(said["counted"], strikes)
        return said


def check_it_was_struck(counted: dict[str, int], strikes: Strikes) -> None:
    """Each kind struck, both on the way there and on the way back, and did what it is for."""
    kinds = len(strikes.kinds)
    assert counted["points"] >= 2 * kinds, counted
    assert counted["killed"] >= sum(kind in ENDINGS for kind in strikes.kinds), counted
    assert counted["refused"] >= sum(kind in ERRORS for kind in strikes.kinds), counted
    assert not strikes.twice or counted["twice"] >= 2 * kinds, counted


@pytest.fixture
def root(machine: ThrowawayMachine, tmp_path: Path) -> StruckRoot:
    why_not = why_no_faults()
    if why_not is not None:
        pytest.skip(why_not)
    return StruckRoot(machine, tmp_path)


def test_a_file_of_root_s_is_written_whole_or_not_there(
    root: StruckRoot, tries: Tries, counts: Counts
) -> None:
    write = WriteFile(path=MODULES, text="kvm\n", mode=0o644)
    strikes = Strikes(tries(short=3, full=1), tries(short=0, full=1))
    said = root.battle((b"", ""), write, RemoveFile(path=MODULES), strikes)
    counts("faults while root writes a file", **said["counted"])
    assert said["amiss"] == []


def test_a_tree_is_installed_whole_or_taken_back(
    root: StruckRoot, tmp_path: Path, tries: Tries, counts: Counts
) -> None:
    back = RemoveTree(name=QEMU_NAME)
    payload = packed(tmp_path, dict(list(QEMU.items())[1:]))
    said = root.battle(payload, install_qemu(), back, Strikes(tries(short=19, full=1)))
    counts("faults while root installs a tree", **said["counted"])
    twice = root.battle(payload, install_qemu(), back, Strikes(97, tries(short=29, full=3), TWICE))
    counts("two faults while root installs a tree", **twice["counted"])
    assert said["amiss"] + twice["amiss"] == []


@pytest.mark.slow
@pytest.mark.parametrize("as_package", [False, True], ids=["plain", "as a package"])
def test_a_kernel_is_installed_whole_or_taken_back(
    root: StruckRoot, tmp_path: Path, tries: Tries, counts: Counts, *, as_package: bool
) -> None:
    # A folder that is empty otherwise would be removed with the last package in it.
    root.machine.do(["/bin/mkdir", "-p", "/usr/lib/modules/6.1.0-another"])
    strikes = Strikes(tries(short=41, full=1), tries(short=0, full=7))
    action, back = install_kernel(as_package=as_package), RemoveTree(name=KERNEL_NAME)
    said = root.battle(packed(tmp_path, KERNEL), action, back, strikes)
    counts(f"faults while root installs a kernel{' as a package' * as_package}", **said["counted"])
    assert said["amiss"] == []
