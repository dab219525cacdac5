"""Tiny source trees that are configured, built and installed as QEMU's are: by make, and by ninja."""

from pathlib import Path

from kvmwizard.plan.build_model import CompileQemu, ConfigureQemu, StageQemu
from tests.build.worker import IDENTITY

PREFIX = "/opt/kvmwizard/qemu-9.9.9"
PROGRAM = "qemu-system-x86_64"
FLAGS = (f"--prefix={PREFIX}", "--target-list=x86_64-softmmu", "--enable-kvm", "--enable-vhost-net")

CONFIGURE = """\
#!/bin/sh
source_path=$(cd "$(dirname "$0")" && pwd)
cflags= vhost_net=$(test -e "$source_path/no-vhost-net" || echo CONFIG_VHOST_NET=y)
for option; do
  case "$option" in
  --help) show_help=yes
  ;;
  --prefix=*) prefix=${option#*=}
  ;;
  --target-list=*|--python=*|--firmwarepath=*)
  ;;
  --extra-cflags=*) cflags="$cflags ${option#*=}"
  ;;
  --enable-kvm|--disable-kvm|--enable-vhost-net|--disable-install-blobs)
  ;;
  *) echo "ERROR: unknown option $option"; exit 1
  ;;
  esac
done
if test "$show_help" = yes; then
  cat <<TEXT

Usage: configure [options]

  --prefix=PREFIX          install in PREFIX
  --target-list=LIST       set target list
  --extra-cflags=CFLAGS    append extra C compiler flags CFLAGS

Optional features, enabled with --enable-FEATURE and
disabled with --disable-FEATURE, default is enabled if available:

  kvm             KVM acceleration support
  vhost-net       vhost-net acceleration support
  gtk             gtk UI
TEXT
  exit 0
fi
if test -e "$source_path/no-glib"; then
  echo "ERROR: glib-2.22 gthread-2.0 is required to compile QEMU"
  exit 1
fi
printf '%s\\n' "$vhost_net" "prefix=$prefix" "CFLAGS=$cflags" "SRC_PATH=$source_path" \\
  "NINJA=/usr/bin/ninja" >config-host.mak
"""

FOR_MAKE = """\
mkdir -p x86_64-softmmu
ln -s "$source_path/Makefile" Makefile
"""

MAKEFILE = """\
include config-host.mak
VPATH = $(SRC_PATH)
OBJECTS = main.o one.o two.o three.o
all: x86_64-softmmu/qemu-system-x86_64
x86_64-softmmu/qemu-system-x86_64: $(OBJECTS)
	@echo "  LINK  $@" && cc -o $@ $^
%.o: %.c
	@echo "  CC    $@" && $(SRC_PATH)/compiler $(CFLAGS) -c -o $@ $<
install: all
	install -d "$(DESTDIR)$(prefix)/bin" "$(DESTDIR)$(prefix)/share/qemu"
	install -m 0755 x86_64-softmmu/qemu-system-x86_64 "$(DESTDIR)$(prefix)/bin"
	install -m 0644 $(SRC_PATH)/pc-bios/bios-256k.bin "$(DESTDIR)$(prefix)/share/qemu"
	ln -s bios-256k.bin "$(DESTDIR)$(prefix)/share/qemu/bios.bin"
"""

COMPILER = """\
#!/bin/sh
if test -e "$(dirname "$0")/slow"; then sleep 0.4; fi
exec cc "$@"
"""

FOR_NINJA = """\
mkdir -p meson-info
sed "s,@CFLAGS@,$cflags,; s,@SRC@,$source_path,g" "$source_path/build.ninja.in" >build.ninja
sed "s,@SRC@,$source_path,g; s,@BUILD@,$PWD,g; s,@PREFIX@,$prefix,g" "$source_path/installed.json.in" \\
  >meson-info/intro-installed.json
"""

BUILD_NINJA = """\
cflags = @CFLAGS@
rule cc
  command = @SRC@/compiler $cflags -c -o $out $in
rule link
  command = cc -o $out $in
rule copy
  command = cp $in $out
build main.o: cc @SRC@/main.c
build one.o: cc @SRC@/one.c
build two.o: cc @SRC@/two.c
build three.o: cc @SRC@/three.c
build qemu-system-x86_64: link main.o one.o two.o three.o
build trace-events-all: copy @SRC@/VERSION
build test-one: link one.o
build all: phony qemu-system-x86_64 trace-events-all test-one
default all
"""

INSTALLED = """\
{"@BUILD@/qemu-system-x86_64": "@PREFIX@/bin/qemu-system-x86_64",
 "@BUILD@/trace-events-all": "@PREFIX@/share/qemu/trace-events-all",
 "@SRC@/pc-bios": "@PREFIX@/share/qemu/firmware"}
"""

MAIN = """\
#include <sys/memfd.h>
#include <stdio.h>
int one(void), two(void), three(void);
int main(void) { puts("QEMU emulator version 9.9.9"); return one() + two() + three() - 6; }
"""


def make_tree(folder: Path) -> Path:
    """A tree as QEMU's were until 5.1."""
    tree = _tree(folder, FOR_MAKE)
    tree.joinpath("Makefile").write_text(MAKEFILE, encoding="ascii")
    return tree


def ninja_tree(folder: Path) -> Path:
    """A tree as QEMU's are from 5.2 on, with meson's work done beforehand."""
    tree = _tree(folder, FOR_NINJA)
    tree.joinpath("build.ninja.in").write_text(BUILD_NINJA, encoding="ascii")
    tree.joinpath("installed.json.in").write_text(INSTALLED, encoding="ascii")
    return tree


def _tree(folder: Path, configure_end: str) -> Path:
    tree = folder / "source"
    (tree / "pc-bios").mkdir(parents=True)
    files = {
        "VERSION": "9.9.9\n",
        "COPYING": "The licence.\n",
        "configure": CONFIGURE + configure_end,
        "compiler": COMPILER,
        "main.c": MAIN,
        "pc-bios/bios-256k.bin": "firmware\n",
        **{
            f"{name}.c": f"int {name}(void) {{ return {n}; }}\n"
            for n, name in enumerate(("one", "two", "three"), 1)
        },
    }
    for name, text in files.items():
        tree.joinpath(name).write_text(text, encoding="ascii")
    for name in ("configure", "compiler"):
        tree.joinpath(name).chmod(0o755)
    return tree


def configure_action(
    folder: Path, flags: tuple[str, ...] = FLAGS, shims: tuple[str, ...] = ("shims/memfd",)
) -> ConfigureQemu:
    """The action that configures the tree in this folder."""
    return ConfigureQemu(
        identity=IDENTITY,
        stamp=str(folder / "configuration.stamp"),
        tree=str(folder / "source"),
        build=str(folder / "build"),
        flags=flags,
        shims=shims,
    )


def compile_action(folder: Path, jobs: int = 1) -> CompileQemu:
    """The action that compiles it."""
    return CompileQemu(
        identity=IDENTITY,
        stamp=str(folder / "programs.stamp"),
        tree=str(folder / "source"),
        build=str(folder / "build"),
        programs=(PROGRAM,),
        jobs=jobs,
    )


def stage_action(folder: Path, prefix: str = PREFIX, programs: tuple[str, ...] = (PROGRAM,)) -> StageQemu:
    """The action that stages it."""
    return StageQemu(
        identity=IDENTITY,
        stamp=str(folder / "payload.stamp"),
        tree=str(folder / "source"),
        build=str(folder / "build"),
        programs=programs,
        prefix=prefix,
        stage=str(folder / "stage"),
        payload=str(folder / "payload"),
    )
