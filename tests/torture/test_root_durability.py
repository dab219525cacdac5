"""What root changes stays changed, whenever the power goes: flushed in its order, and all in the end."""

import json
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import RemoveTree
from kvmwizard.plan.model import RemoveFile, WriteFile
from kvmwizard.run.root_helper import LIST
from tests.conftest import Counts
from tests.machine.machine import ThrowawayMachine
from tests.run.trees import QEMU, QEMU_NAME, Root, install_qemu, packed

AS_ROOT = Path(__file__).with_name("durable_as_root.py")
MODULES = "/etc/modules-load.d/kvmwizard.conf"


@pytest.mark.root
def test_all_that_root_changes_is_flushed_in_its_order(
    machine: ThrowawayMachine, tmp_path: Path, counts: Counts
) -> None:
    Root(machine)
    machine.path(f"/opt/{AS_ROOT.name}").write_bytes(AS_ROOT.read_bytes())
    payload, digest = packed(tmp_path, QEMU)
    machine.path("/tmp/payload").write_bytes(payload)
    actions = (
        WriteFile(path=MODULES, text="kvm\n", mode=0o644),
        WriteFile(path=MODULES, text="kvm\ntun\n", mode=0o644),
        RemoveFile(path=MODULES),
        install_qemu(),
        RemoveTree(name=QEMU_NAME),
    )
    argv = ["/usr/bin/python3", "-I", f"/opt/{AS_ROOT.name}", "/opt/root_helper.py", "/opt/driver.py"]
    argv += ["/tmp/payload", digest, LIST.format(QEMU_NAME)]
    said = json.loads(machine.do([*argv, *(action.model_dump_json() for action in actions)]))
    counts("the power gone at every change of root's", **said["counted"])
    assert said["amiss"] == []
    # Each file of the tree is written and removed, its list twice written, and the other file thrice changed.
    assert said["counted"]["changes"] >= 2 * len(QEMU) + 3 + 3
    assert said["counted"]["flushes"] >= 3 + 3
