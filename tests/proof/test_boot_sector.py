import shutil
import subprocess
from pathlib import Path

import pytest

from kvmwizard.proof.boot import MARKER
from kvmwizard.resources import asset_path

ASSEMBLER, LINKER = shutil.which("as"), shutil.which("ld")
no_binutils = ASSEMBLER is None or LINKER is None


def emulates_x86() -> bool:
    """GNU ld for another architecture does not know the format."""
    if LINKER is None:
        return False
    formats = subprocess.run([LINKER, "-V"], capture_output=True, text=True, check=True).stdout
    return "elf_i386" in formats


def test_it_is_one_sector_that_firmware_takes_for_bootable() -> None:
    sector = asset_path("guest/boot.img").read_bytes()
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    assert f"{MARKER}\r\n".encode() in sector


@pytest.mark.skipif(no_binutils, reason="as and ld are not here (package binutils)")
@pytest.mark.skipif(not emulates_x86(), reason="this ld does not link for x86")
def test_its_bytes_are_those_of_its_source(tmp_path: Path) -> None:
    object_file, image = str(tmp_path / "boot.o"), str(tmp_path / "boot.img")
    source = str(asset_path("guest/boot.s"))
    subprocess.run([str(ASSEMBLER), "--32", "-o", object_file, source], check=True)
    link = [str(LINKER), "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary"]
    subprocess.run([*link, "-o", image, object_file], check=True)
    assert Path(image).read_bytes() == asset_path("guest/boot.img").read_bytes()
