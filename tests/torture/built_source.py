"""A kernel's source tree whose make has everything made already.

Compiling Linux in an emulated computer takes hours. So its source comes with what make would make
of it: the plan's own workers configure, compile, stage and pack it all the same, step by step.
"""

import shutil
from pathlib import Path

from tests.build.kernels import MINIATURE
from tests.torture.machine_kernels import MachineKernels

MAKEFILE = """\
VERSION = {version}
PATCHLEVEL = {patchlevel}
SUBLEVEL = {sublevel}
EXTRAVERSION =

ifneq ($(O),)
.PHONY: $(MAKECMDGOALS) outside
$(MAKECMDGOALS): outside ;
outside:
	+@$(MAKE) --no-print-directory -C $(O) -f $(CURDIR)/Makefile O= made=$(CURDIR)/made $(MAKECMDGOALS)
else
parts := $(addprefix part-,{parts})
.PHONY: defconfig olddefconfig bzImage modules modules_install $(parts)
defconfig olddefconfig:
	@cp $(made)/.config .config
bzImage: $(parts)
	@mkdir -p arch/x86/boot include/config
	@echo {release} >include/config/kernel.release
	@cp $(made)/System.map System.map
	@echo '  BUILD   arch/x86/boot/bzImage'
	@cp $(made)/bzImage arch/x86/boot/bzImage
$(parts):
	@echo '  CC      $@.o'
	@sleep 1
modules: ;
modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)
	@cp -r $(made)/modules/lib $(INSTALL_MOD_PATH)/
endif
"""
PARTS = 15
"""Each takes a second, so that there is a middle of the compiling, in which one can log out."""


def make_built_source(tree: Path, kernels: MachineKernels, image: Path) -> None:
    """Write the tree; what it makes boots from `image`, and is otherwise the good kernel."""
    made = tree / "made"
    shutil.copytree(kernels.folder, made, ignore=shutil.ignore_patterns("bzImage*"))
    shutil.copy(image, made / "bzImage")
    shutil.copytree(MINIATURE / "scripts", tree / "scripts")
    (tree / "Kconfig").touch()
    version, patchlevel, sublevel = kernels.version.split(".")
    parts = " ".join(map(str, range(PARTS)))
    numbers = {"version": version, "patchlevel": patchlevel, "sublevel": sublevel}
    text = MAKEFILE
    for name, value in {**numbers, "parts": parts, "release": kernels.release}.items():
        text = text.replace(f"{{{name}}}", value)
    (tree / "Makefile").write_text(text, encoding="ascii")
