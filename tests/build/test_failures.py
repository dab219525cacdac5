import pytest

from kvmwizard.build.failures import build_failure, first_error

COMPILER = """\
  CC      init/main.o
../init/main.c: In function 'start':
../init/main.c:3:9: error: 'x' undeclared (first use in this function)
make[2]: *** [../scripts/Makefile.build:250: init/main.o] Error 1
make[1]: *** [Makefile:2009: .] Error 2
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (COMPILER, "../init/main.c:3:9: error: 'x' undeclared (first use in this function)"),
        (
            "a.c:1:10: fatal error: gelf.h: No such file or directory\n",
            "a.c:1:10: fatal error: gelf.h: No such file or directory",
        ),
        (
            "ld: a.o: in function `f':\na.c:(.text+0x1): undefined reference to `g'\n",
            "a.c:(.text+0x1): undefined reference to `g'",
        ),
        ('ERROR: modpost: "kvm_x" [kvm.ko] undefined!\n', 'ERROR: modpost: "kvm_x" [kvm.ko] undefined!'),
        ("/bin/sh: 1: flex: not found\nmake: *** [x] Error 127\n", "/bin/sh: 1: flex: not found"),
        ("make[1]: *** [Makefile:1: all] Error 2\n", "make[1]: *** [Makefile:1: all] Error 2"),
        ("FAILED: libqemu.a.p/x.o \ncc -c x.c\n", "FAILED: libqemu.a.p/x.o"),
        ("all is well\n", None),
    ],
)
def test_the_most_telling_line_is_found(text: str, error: str | None) -> None:
    assert first_error(text) == error


def test_what_compiled_without_a_fault_has_none() -> None:
    assert first_error("  CC      lib/error.o\n  CC      drivers/char/agp/error-inject.o\n") is None


@pytest.mark.parametrize(
    ("jobs", "words"), [(8, "Choose 4 jobs, then retry"), (1, "Close other programs or add swap space")]
)
@pytest.mark.parametrize(
    "text",
    [
        "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.\n",
        "make[3]: *** [scripts/Makefile.build:250: fs/inode.o] Killed\n",
    ],
)
def test_a_killed_compiler_means_memory(text: str, jobs: int, words: str) -> None:
    assert words in build_failure("linux", "6.1.5", text, jobs).english


def test_what_is_known_comes_before_what_the_log_says() -> None:
    text = "arch/x86/kernel/head.o: error: code model kernel does not support PIC mode\n"
    assert "code model" not in build_failure("linux", "4.8.5", text, 1).english.partition(".")[0]
    assert build_failure("qemu", "7.2.0", COMPILER, 1).english.startswith(
        "The build failed: ../init/main.c:3:9"
    )
