import shutil
import subprocess
from pathlib import Path

import pytest

from kvmwizard.proof.console import said_of_itself
from kvmwizard.proof.initramfs import initramfs
from kvmwizard.resources import asset_path

ASSEMBLER, LINKER, CPIO = (shutil.which(name) for name in ("as", "ld", "cpio"))


def makes_programs_for_x86_64() -> bool:
    if ASSEMBLER is None or LINKER is None:
        return False
    formats = subprocess.run([LINKER, "-V"], capture_output=True, text=True, check=True).stdout
    return "elf_x86_64" in formats


@pytest.mark.skipif(CPIO is None, reason="cpio is not here")
def test_cpio_itself_lists_what_is_in_it() -> None:
    listed = subprocess.run(
        [str(CPIO), "-itv", "--quiet"], input=initramfs(), capture_output=True, check=True
    )
    lines = [line.split() for line in listed.stdout.decode().splitlines()]
    assert [(line[0], line[-1]) for line in lines] == [
        ("drwxr-xr-x", "dev"),
        ("crw-------", "dev/console"),
        ("-rwxr-xr-x", "init"),
    ]
    assert lines[1][4:6] == ["5,", "1"]
    content = subprocess.run(
        [str(CPIO), "-i", "--quiet", "--to-stdout", "init"],
        input=initramfs(),
        capture_output=True,
        check=True,
    )
    assert content.stdout == asset_path("guest/init").read_bytes()


@pytest.mark.skipif(
    not makes_programs_for_x86_64(), reason="as and ld for x86-64 are not here (package binutils)"
)
def test_the_programs_bytes_are_those_of_its_source(tmp_path: Path) -> None:
    object_file, program = str(tmp_path / "init.o"), tmp_path / "init"
    subprocess.run([str(ASSEMBLER), "--64", "-o", object_file, str(asset_path("guest/init.s"))], check=True)
    link = [str(LINKER), "-m", "elf_x86_64", "-Ttext", "0x400000", "--oformat", "binary"]
    subprocess.run([*link, "-o", str(program), object_file], check=True)
    assert program.read_bytes() == asset_path("guest/init").read_bytes()


def test_the_programs_words_are_those_that_are_waited_for() -> None:
    begins = asset_path("guest/init").read_bytes().rpartition(b"\n")[2].decode()
    assert said_of_itself(f"\n{begins}6.1.7-own\r\n") == "6.1.7-own"
