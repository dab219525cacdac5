"""A kernel in miniature that compiles for as long as it is told to, and boots: it speaks, then resets."""

import shutil
from pathlib import Path

from tests.build.kernels import MINIATURE

VERSION = "6.1.7"
RELEASE = f"{VERSION}-kvmwizard"
SETUP_CODE = 0x68
"""Where the code of our setup begins, behind the header (Linux, Documentation/arch/x86/boot.rst)."""

MAKE_IMAGE = f'''\
"""The image: a header that QEMU takes for Linux's, and code that speaks on the serial line, then resets."""

import sys

image, release = sys.argv[1:]
said = f"Linux version {{release}}\\r\\n"
said += f"kvmwizard: this kernel runs programs, and is Linux {{release}}\\r\\n\\0"
code = bytes.fromhex(
    "be" "0000"  # mov si, where the text is
    "baf803"     # mov dx, 0x3f8
    "2eac"       # cs lodsb
    "84c0"       # test al, al
    "7403"       # jz, to the reset
    "ee"         # out dx, al
    "ebf7"       # jmp, to the next letter
    "b0fee664"   # mov al, 0xfe; out 0x64, al
    "f4ebfd"     # hlt, for ever
)
code = code[:1] + ({SETUP_CODE} + len(code)).to_bytes(2, "little") + code[3:]
header = bytearray(0x200)
header[0x1F1] = 1  # setup_sects
header[0x1FE:] = b"\\x55\\xaa"
setup = bytearray(0x200)
setup[:2] = b"\\xeb" + bytes([{SETUP_CODE} - 2])
setup[2:8] = b"HdrS" + (0x0203).to_bytes(2, "little")
setup[0x11] = 1  # loadflags: loaded high
setup[0x2C:0x30] = b"\\xff\\xff\\xff\\x37"  # initrd_addr_max
setup[{SETUP_CODE} : {SETUP_CODE} + len(code) + len(said)] = code + said.encode()
with open(image, "wb") as file:
    file.write(header + setup[:0x200] + bytes(0x1000))
'''

SLOW_PARTS = """
parts := $(foreach number,1 2 3 4,part/$(number).o)
part/%.o: include/config/kernel.release
	@mkdir -p part; until [ -e {until} ]; do echo '  WAIT    $@'; sleep 0.1; done
	@echo '  CC      $@'; echo 'int part_$*;' | $(CC) -x c -c -o $@ -
arch/x86/boot/bzImage: $(parts)
"""


def slow_kernel(folder: Path, *, until: str) -> Path:
    """A tree that goes on compiling, and printing, until there is a file of this path."""
    tree = folder / "linux"
    shutil.copytree(MINIATURE, tree)
    (tree / "image.py").write_text(MAKE_IMAGE, encoding="ascii")
    makefile = tree / "Makefile"
    text = makefile.read_text(encoding="ascii")
    image_rule = "cat $^ >$@; echo"
    assert text.count(image_rule) == 1
    text = text.replace(image_rule, "python3 -I $(src)/image.py $@ $(release); echo")
    before, end, after = text.rpartition("endif")
    makefile.write_text(before + SLOW_PARTS.format(until=until) + end + after, encoding="ascii")
    return tree
