import os
from pathlib import Path

import pytest

from kvmwizard.build.torn import remove_torn, remove_torn_records

RECORD = b"""\
savedcmd_a/b.o := gcc -c

deps_a/b.o := \\
  include/x.h \\

a/b.o: $(deps_a/b.o)

$(deps_a/b.o):
"""


def build(folder: Path, record: bytes, *, product_after: int) -> tuple[Path, Path]:
    """A product and its record, the product that many nanoseconds younger."""
    (folder / "a").mkdir()
    product, written = folder / "a/b.o", folder / "a/.b.o.cmd"
    product.write_bytes(b"object")
    written.write_bytes(record)
    os.utime(written, ns=(0, 10**18))
    os.utime(product, ns=(0, 10**18 + product_after))
    return product, written


@pytest.mark.parametrize(
    "record", [RECORD, RECORD + b"\na/b.o: $(wildcard ./tools/objtool/objtool)\n", b"cmd_x := ar\n"]
)
def test_what_is_whole_stays(tmp_path: Path, record: bytes) -> None:
    product, written = build(tmp_path, record, product_after=0)
    assert remove_torn(tmp_path) == []
    assert product.exists()
    assert written.exists()


def test_a_product_younger_than_its_record_goes(tmp_path: Path) -> None:
    product, written = build(tmp_path, RECORD, product_after=1)
    assert remove_torn(tmp_path) == [product]
    assert written.exists()


@pytest.mark.parametrize(("seconds", "torn"), [(30, True), (90, False)])
def test_a_younger_product_stays_where_work_went_on_for_long_after_it(
    tmp_path: Path, *, seconds: int, torn: bool
) -> None:
    product, _written = build(tmp_path, RECORD, product_after=1)
    later = tmp_path / ".later.o.cmd"
    later.write_bytes(RECORD)
    os.utime(later, ns=(0, 10**18 + seconds * 10**9))
    assert remove_torn(tmp_path) == ([product] if torn else [])
    assert product.exists() is not torn


def test_only_records_are_torn_for_who_reads_alone(tmp_path: Path) -> None:
    product, written = build(tmp_path, RECORD, product_after=1)
    torn = tmp_path / ".torn.o.cmd"
    torn.write_bytes(RECORD[:40])
    assert remove_torn_records(tmp_path) == [torn]
    assert product.exists()
    assert written.exists()


@pytest.mark.parametrize("length", [0, 10, 40, 55, len(RECORD) - 3])
def test_a_torn_record_goes_wherever_it_ends(tmp_path: Path, length: int) -> None:
    _product, written = build(tmp_path, RECORD[:length], product_after=-1)
    assert remove_torn(tmp_path) == [written]


def test_a_record_without_its_product_is_no_fault(tmp_path: Path) -> None:
    product, _written = build(tmp_path, RECORD, product_after=0)
    product.unlink()
    assert remove_torn(tmp_path) == []
