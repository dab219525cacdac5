"""What somebody with the builder's rights tries while root installs what was built."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.plan.model import Plan, Step, canonical_json, plan_digest
from kvmwizard.run.root_helper import HEAD_BYTES, Refused, checked_steps
from kvmwizard.words import say
from tests.conftest import Counts, Tries
from tests.machine.machine import ThrowawayMachine
from tests.run.trees import (
    KERNEL,
    PREFIX,
    QEMU,
    RELEASE,
    Root,
    entry,
    forged,
    install_kernel,
    install_qemu,
    packed,
)

HOSTILE_ACTIONS = (
    {"name": "linux-image-amd64"},
    {"name": "qemu-system-x86"},
    {"name": "sudo"},
    {"name": "../../etc/cron.d/x"},
    {"name": "linux-image-6.1\nPre-Depends: evil"},
    {"name": "linux-image-6.1 --force"},
    {"release": "../../etc"},
    {"release": "6.1/../../etc"},
    {"release": "6.1$(id)"},
    {"release": "6.1;id"},
    {"release": "6.1\nid"},
    {"release": "-6.1"},
    {"release": ""},
    {"prefix": "/usr"},
    {"prefix": "/etc"},
    {"prefix": "/opt"},
    {"prefix": "/opt/kvmwizard"},
    {"prefix": "/opt/kvmwizard/../../etc"},
    {"prefix": "/usr/local/../bin"},
    {"prefix": "/usr/local/a b"},
    {"prefix": "usr/local"},
    {"as_package": 1},
    {"identity": "a" * 63},
    {"tree": "initramfs"},
)


@pytest.mark.parametrize("change", HOSTILE_ACTIONS, ids=repr)
def test_no_plan_installs_a_tree_elsewhere_or_under_another_s_name(change: dict[str, Any]) -> None:
    plan = Plan(
        user="root",
        qemu=None,
        steps=(
            Step(
                id="kernel.install",
                title=say("a step"),
                root=True,
                seconds=1,
                conditions=(),
                actions=(install_kernel(),),
            ),
        ),
    )
    assert checked_steps(canonical_json(plan), plan_digest(plan))
    document = json.loads(canonical_json(plan))
    document["steps"][0]["actions"][0].update(change)
    content = json.dumps(document).encode()
    with pytest.raises(Refused) as refused:
        checked_steps(content, hashlib.sha256(content).hexdigest())
    assert refused.value.code == "action"


MODULES = f"lib/modules/{RELEASE}"
BOOT = f"boot/vmlinuz-{RELEASE}"
HOSTILE_KERNELS: dict[str, list[Any]] = {
    "up and out": [entry(f"{MODULES}/../../../etc/cron.d/evil")],
    "up within a name": [entry(f"{MODULES}/kernel/..")],
    "a dot": [entry(f"{MODULES}/./evil.ko")],
    "absolute": [entry("/etc/cron.d/evil")],
    "absolute twice": [entry(f"//{MODULES}/evil.ko")],
    "elsewhere": [entry("etc/cron.d/evil")],
    "another's modules": [entry("lib/modules/6.1.0-another/evil.ko")],
    "modules of a longer name": [entry(f"{MODULES}-evil/evil.ko")],
    "beside the modules": [entry("lib/modules/evil.ko")],
    "another's kernel": [entry("boot/vmlinuz-6.1.0-another")],
    "the boot menu": [entry("boot/grub/grub.cfg")],
    "an initramfs": [entry(f"boot/initrd.img-{RELEASE}")],
    "NUL": [entry(f"{MODULES}/evil\0.ko")],
    "newline": [entry(f"{MODULES}/evil\n.ko")],
    "newline at the end": [entry(f"{BOOT}\n")],
    "space": [entry(f"{MODULES}/evil .ko")],
    "leading dash": [entry(f"{MODULES}/-evil.ko")],
    "leading dash of a folder": [entry(f"{MODULES}/-rf/evil.ko")],
    "command substitution": [entry(f"{MODULES}/$(id).ko")],
    "backslash": [entry(f"{MODULES}/evil\\n.ko")],
    "not ASCII": [entry(f"{MODULES}/\u202eok.ko")],
    "lone surrogate": [entry(f"{MODULES}/\udcff.ko")],
    "no name": [entry(f"{MODULES}/")],
    "only the folder": [entry(MODULES)],
    "setuid": [entry(f"{MODULES}/evil.ko", mode=0o4755)],
    "setgid": [entry(f"{MODULES}/evil.ko", mode=0o2755)],
    "sticky": [entry(f"{MODULES}/evil.ko", mode=0o1755)],
    "for everybody to write": [entry(f"{MODULES}/evil.ko", mode=0o666)],
    "negative mode": [entry(f"{MODULES}/evil.ko", mode=-1)],
    "a mode of text": [entry(f"{MODULES}/evil.ko", mode="0755")],
    "a mode that is a truth": [entry(f"{MODULES}/evil.ko", mode=True)],
    "negative size": [[BOOT, 0o644, -1, "0" * 64]],
    "huge size": [[BOOT, 0o644, 1 << 60, "0" * 64]],
    "another hash": [[BOOT, 0o644, 4, "0" * 64]],
    "no hash": [[BOOT, 0o644, 4, ""]],
    "a link": [[BOOT, 0o644, 4, "0" * 64, "/etc/shadow"]],
    "a path that is a list": [[[BOOT], 0o644, 4, "0" * 64]],
    "a text": ["evil"],
    "a file that is a folder, too": [entry(f"{MODULES}/evil"), entry(f"{MODULES}/evil/evil.ko")],
    "good and bad": [entry(BOOT), entry("etc/cron.d/evil")],
}
HOSTILE_HEADS = (
    b"",
    b"\n",
    b"{}\n",
    b"null\n",
    b"[[]]\n",
    b"[" * 100_000 + b"\n",
    b"\xff\n",
    b'[["' + b"a" * HEAD_BYTES,
)


@pytest.fixture
def root(machine: ThrowawayMachine) -> Root:
    machine.do(["/bin/mkdir", "-p", "/usr/lib/modules/6.1.0-another"])
    return Root(machine)


@pytest.mark.root
@pytest.mark.parametrize("as_package", [False, True], ids=["plain", "as a package"])
def test_no_hostile_list_of_files_changes_anything(root: Root, as_package: bool, counts: Counts) -> None:
    before = root.world()
    action = install_kernel(as_package=as_package)
    payloads = {name: forged(entries, b"evil" * len(entries)) for name, entries in HOSTILE_KERNELS.items()}
    refused = root.install_each(action, payloads)
    successes = [name for name in HOSTILE_KERNELS if refused[name] is None]
    counts("attackers: hostile lists of files", tries=len(refused), successes=len(successes))
    assert successes == []
    assert root.world() == before
    assert not root.machine.path("/etc/cron.d/evil").exists()


@pytest.mark.root
def test_no_hostile_head_changes_anything(root: Root) -> None:
    before = root.world()
    digest = hashlib.sha256
    # The digest is the one that the head has: whoever can write the payload might have had it journaled.
    payloads = {
        f"{head[:20]!r} named {named}": (head, named)
        for head in HOSTILE_HEADS
        for named in (digest(head).hexdigest(), digest(head[:HEAD_BYTES]).hexdigest())
    }
    refused = root.install_each(install_kernel(), payloads)
    assert [name for name in payloads if refused[name] is None] == []
    assert root.world() == before


@pytest.mark.root
def test_a_qemu_goes_nowhere_but_below_its_prefix(root: Root) -> None:
    before = root.world()
    paths = (
        BOOT,
        f"{MODULES}/evil.ko",
        "opt/kvmwizard/evil",
        "opt/kvmwizard/qemu-10.1.0-evil/x",
        "usr/local/bin/sudo",
    )
    refused = root.install_each(install_qemu(), {path: forged([entry(path)], b"evil") for path in paths})
    assert [path for path in paths if refused[path] is None] == []
    assert root.world() == before


@pytest.mark.root
@pytest.mark.parametrize("as_package", [False, True], ids=["plain", "as a package"])
def test_a_file_changed_after_it_was_packed_is_not_installed(
    root: Root, tmp_path: Path, as_package: bool, counts: Counts
) -> None:
    payload, digest = packed(tmp_path, KERNEL)
    before = root.world()
    changed: dict[str, Callable[[bytes], bytes]] = {
        "one bit": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "cut": lambda content: content[:-1],
        "the first file": lambda content: content.replace(b"T _text", b"T _evil"),
        "swapped files": lambda content: content.replace(b"CONFIG_KVM=y", b"CONFIG_KVM=n"),
        "the list": lambda content: content.replace(b",420,", b",493,"),
        "empty": lambda _: b"",
    }
    payloads = {name: (change(payload), digest) for name, change in changed.items()}
    refused = root.install_each(install_kernel(as_package=as_package), payloads)
    successes = [name for name in changed if refused[name] is None]
    counts(
        "attackers: trees changed after their list was journaled",
        tries=len(changed),
        successes=len(successes),
    )
    assert successes == []
    assert root.world() == before


@pytest.mark.root
def test_another_payload_than_the_journaled_one_is_not_installed(root: Root, tmp_path: Path) -> None:
    """Whole and well formed, under the same name, and staged by the same builder."""
    _, digest = packed(tmp_path / "agreed", QEMU)
    swapped, _ = packed(tmp_path / "other", {f"{PREFIX[1:]}/bin/qemu-system-x86_64": b"#!/bin/sh\nevil\n"})
    before = root.world()
    assert root.install(install_qemu(), (swapped, digest)) == "payload"
    assert root.world() == before


RACE = """
import os, runpy, sys, time
helper = runpy.run_path("/opt/root_helper.py", run_name="helper")
import json
good, bad = open("/tmp/good", "rb").read(), open("/tmp/bad", "rb").read()
digest, action, back = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
path, evil = sys.argv[4], b"evil"
ended = time.monotonic() + float(sys.argv[5])
if os.fork() == 0:
    descriptor = os.open("/tmp/payload", os.O_WRONLY | os.O_CREAT)
    while time.monotonic() < ended:
        os.pwrite(descriptor, good, 0)
        time.sleep(0.01)
        os.pwrite(descriptor, bad, 0)
        time.sleep(0.002)
    os._exit(0)
done = refused = wrong = 0
log = os.open("/tmp/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while time.monotonic() < ended:
    report = {}
    work = helper["Work"]([os.dup(log), os.dup(log), os.open("/tmp/payload", os.O_RDONLY)], "", digest)
    work.carry_out([action], report)
    if os.path.exists(path):
        done += 1
        wrong += evil in open(path, "rb").read()
    else:
        refused += 1
    helper["Work"]([os.dup(log), os.dup(log)], "", "").carry_out([back], {})
os.wait()
print(done, refused, wrong)
"""


@pytest.mark.root
def test_a_payload_rewritten_while_it_is_read_installs_what_was_agreed_to_or_nothing(
    root: Root, tmp_path: Path, tries: Tries, counts: Counts
) -> None:
    path = f"{PREFIX}/bin/qemu-system-x86_64"
    good, digest = packed(tmp_path, {path[1:]: b"good" * 50_000})
    bad = good.replace(b"good", b"evil")
    for name, content in (("good", good), ("bad", bad), ("payload", good)):
        root.machine.path(f"/tmp/{name}").write_bytes(content)
    back = json.dumps({"kind": "remove-tree", "name": install_qemu().name})
    argv = ["/usr/bin/python3", "-I", "-c", RACE, digest, install_qemu().model_dump_json(), back, path]
    seconds = tries(short=2, full=120)
    said = root.machine.do([*argv, str(seconds)], timeout=10 * seconds)
    done, refused, wrong = map(int, said.split())
    counts(
        "attackers: a tree rewritten while root reads it", tries=done + refused, refused=refused, leaks=wrong
    )
    assert wrong == 0
    assert min(done, refused) > 2, f"the race never met: {done} installed, {refused} refused"


@pytest.mark.root
@pytest.mark.parametrize(
    "trap",
    [
        "ln -s /home/alice /opt/kvmwizard",
        "mkdir /opt/kvmwizard && chown alice /opt/kvmwizard",
        "mkdir -m 777 /opt/kvmwizard",
        f"mkdir -p {PREFIX} && ln -s /home/alice {PREFIX}/bin",
        f"mkdir -p {PREFIX}/bin && ln -s /etc/passwd {PREFIX}/bin/qemu-system-x86_64",
        f"mkdir -p {PREFIX}/bin && ln -s /etc/passwd {PREFIX}/bin/.qemu-system-x86_64.unfinished",
        "mkdir -p /var/lib/kvmwizard && ln -s /home/alice /var/lib/kvmwizard/installed",
    ],
)
def test_no_link_and_no_folder_of_somebody_else_s_is_followed(root: Root, tmp_path: Path, trap: str) -> None:
    root.machine.do(["/bin/sh", "-c", trap])
    before = root.machine.do(["/bin/sh", "-c", "ls -A /home/alice; sha256sum /etc/passwd"])
    assert root.install(install_qemu(), packed(tmp_path, QEMU)) in {"path", "taken", "system"}
    assert root.machine.do(["/bin/sh", "-c", "ls -A /home/alice; sha256sum /etc/passwd"]) == before


@pytest.mark.root
def test_nothing_that_was_built_runs_while_it_is_installed(root: Root, tmp_path: Path) -> None:
    """Maintainer scripts in the tree, and programs named as those that root runs, are files like others."""
    files = {
        **QEMU,
        f"{PREFIX[1:]}/DEBIAN/postinst": b"#!/bin/sh\ntouch /tmp/caught\n",
        f"{PREFIX[1:]}/bin/depmod": b"#!/bin/sh\ntouch /tmp/caught\n",
    }
    for as_package in (False, True):
        assert (
            root.install(install_qemu(as_package=as_package), packed(tmp_path / str(as_package), files))
            is None
        )
    assert not root.machine.path("/tmp/caught").exists()
    scripts = root.machine.do(["/bin/sh", "-c", "ls /var/lib/dpkg/info/qemu-10.1.0.*"])
    assert "inst" not in scripts
    # At the top, DEBIAN is no place of a tree's.
    assert root.install(install_qemu(), forged([entry("DEBIAN/postinst")], b"evil")) == "payload"
