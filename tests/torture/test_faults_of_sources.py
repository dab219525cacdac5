"""A download that is gone on with, unpacking and packing, struck at every call that changes a file."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.product import read_stamp
from kvmwizard.refusal import Refusal
from tests.fetch.conftest import make_small_tree
from tests.fetch.downloads import NAME, TARBALL, Downloads
from tests.fetch.workers import BUILDER, IDENTITY, Bench, bench
from tests.mirror.faults import Fault as MirrorFault
from tests.mirror.layout import pack
from tests.mirror.mirror import Mirror
from tests.run.trees import KERNEL
from tests.torture.faults import NO_FAULT, Fault
from tests.torture.striking import Answer, Battery, Driver

TWICE = (("kill", False), ("EIO", True), ("ENOSPC", False))
COMES_FIRST = 100_000
"""How much of the file comes in one try, of which there are three, before the mirror is well."""


class Making:
    """Something that is vouched for by its stamp once it is whole, and not before."""

    def __init__(
        self, strikes: Driver, do: str, folder: Path, asked: dict[str, Any], whole: str | None = None
    ) -> None:
        """`whole` names the file that is whole, or not there, even without a stamp."""
        self._strikes, self._do, self._asked, self._whole = strikes, do, asked, whole
        self.folder, self._before = folder, folder.with_name(f"{folder.name}.before")
        shutil.copytree(folder, self._before)
        self.reset()
        assert self.strike(NO_FAULT).told("done")
        self._made = contents(folder)

    @property
    def stamp(self) -> Path:
        """Where the stamp is."""
        return self.folder / "stamp"

    def reset(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._before, self.folder)
        self._own(self.folder)

    def strike(self, fault: Fault) -> Answer:
        return self._strikes.ask(self._do, fault, [self.folder], **self._asked)

    def look(self, answers: Sequence[Answer]) -> str:
        stamp = read_stamp(self.stamp)
        vouched = stamp is not None and stamp.whole
        # What is vouched for must be all there, byte for byte; what was called done, vouched for.
        there = contents(self.folder)
        if vouched and any(there.get(name) != content for name, content in self._made.items()):
            return f"lost: the stamp vouches for {sorted(there)}"
        if self._whole is not None and there.get(self._whole) not in {None, self._made[self._whole]}:
            return f"lost: {self._whole} is there, and not whole"
        if answers[-1].told("done") and not vouched:
            return "lost: it was called done without a stamp"
        return "new" if vouched else "old"

    def finish(self) -> str:
        answer = self.strike(NO_FAULT)
        there = contents(self.folder)
        return "" if answer.told("done") and there == self._made else f"{answer.said}, {sorted(there)}"

    def _own(self, folder: Path) -> None:
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, BUILDER, BUILDER, follow_symlinks=False)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below it, and what a link leads to."""
    return {
        str(path.relative_to(folder)): os.fsencode(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def downloads(mirror: Mirror, tmp_path: Path) -> Downloads:
    """Linux 6.1.9 on the mirror, the beginning of which came in an earlier try."""
    tree = make_small_tree(tmp_path / "tree", 8 * COMES_FIRST)
    mirror.layout.add_kernel("6.1.9", tree)
    made = Downloads(mirror, tmp_path / "downloads")
    mirror.fault(TARBALL, MirrorFault("truncate", after=COMES_FIRST))
    with pytest.raises(Refusal):
        made.run()
    mirror.heal(TARBALL)
    assert made.part.stat().st_size == 3 * COMES_FIRST
    return made


def test_a_download_is_whole_in_the_end_whatever_befalls_it(
    strikes: Driver, downloads: Downloads, battery: Battery
) -> None:
    action = downloads.action(stamp=str(downloads.folder / "stamp"))
    subject = Making(strikes, "download", downloads.folder, {"action": action}, NAME)
    assert sorted(contents(downloads.folder)) == [NAME, "stamp"]
    amiss = battery.amiss(subject, "of a download that is gone on with", TWICE, short=(23, 60), full=(1, 7))
    assert amiss == []


@pytest.fixture
def builder() -> Iterator[Bench]:
    """A folder of the builder's, with a tarball in it."""
    with bench() as made:
        yield made


def test_a_tree_is_unpacked_whole_or_not_there_whatever_befalls_it(
    strikes: Driver, builder: Bench, tmp_path: Path, battery: Battery
) -> None:
    folder = builder.folder / "linux"
    folder.mkdir()
    archive = folder / NAME
    pack(make_small_tree(tmp_path / "tree", 50_000), "linux-6.1.9", archive)
    stamp, tree = folder / "stamp", folder / "source"
    action = {"identity": IDENTITY, "archive": str(archive), "tree": str(tree), "stamp": str(stamp)}
    subject = Making(strikes, "unpack_tree", folder, {"action": action, "builder": BUILDER})
    amiss = battery.amiss(
        subject, "while a source is unpacked, tar's own too", TWICE, short=(13, 60), full=(1, 7)
    )
    assert amiss == []


def test_a_staged_tree_is_packed_whole_or_not_there_whatever_befalls_it(
    strikes: Driver, folder: Path, battery: Battery
) -> None:
    stage, made = folder / "stage", folder / "made"
    made.mkdir()
    for name, content in KERNEL.items():
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    asked = {"stage": str(stage), "payload": str(made / "payload"), "stamp": str(made / "stamp")}
    subject = Making(strikes, "pack", made, {**asked, "identity": IDENTITY}, "payload")
    amiss = battery.amiss(subject, "while a staged tree is packed", TWICE, short=(5, 5), full=(1, 1))
    assert amiss == []
