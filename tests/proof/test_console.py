import pytest

from kvmwizard.proof.console import KernelSays, kernel_failure, last_line, said_of_itself

CAME_UP = """\
Linux version 6.1.7-own (kvmwizard@kvmwizard)\r
Run /init as init process\r
\r
kvmwizard: this kernel runs programs, and is Linux 6.1.7-own\r
reboot: Restarting system\r
"""
PANIC = """\
Linux version 6.1.7-own\r
BUG: kernel NULL pointer dereference, address: 0000000000000000\r
Kernel panic - not syncing: Fatal exception\r
Rebooting in 1 seconds..\r
"""
NO_INITRAMFS = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n"


def test_the_release_is_what_the_kernel_told_our_program() -> None:
    assert said_of_itself(CAME_UP) == "6.1.7-own"
    assert said_of_itself(CAME_UP.replace("-own\r\nreboot", "")) is None
    assert said_of_itself(PANIC) is None
    assert KernelSays.of(PANIC) == KernelSays(None, "Fatal exception")


def test_the_last_line_is_one_that_says_something() -> None:
    assert last_line("\x1bc\x1b[2J\x1b[0mSeaBIOS\r\nBooting from ROM...\r\n\r\n \r\n") == "Booting from ROM"
    assert last_line("\x1bc\r\n") is None


@pytest.mark.parametrize(
    ("console", "timed_out", "words"),
    [
        (PANIC, False, "The kernel does not boot. It panics: Fatal exception. It is not installed."),
        (NO_INITRAMFS, False, "The kernel boots, but cannot run the program of our initramfs: VFS: Unable"),
        ("", True, "The kernel said nothing for 90 seconds."),
        ("a\r\nCalibrating delay loop...\r\n", True, "It said last: Calibrating delay loop. Choose"),
        (
            "a\r\nb\r\n",
            False,
            "The kernel ended before it ran a program, and is not installed. It said last: b.",
        ),
    ],
)
def test_why_it_did_not_come_up_is_told(console: str, timed_out: bool, words: str) -> None:
    assert words in kernel_failure("6.1.7-own", console, 90, timed_out).english


def test_what_is_known_of_a_version_is_told_first() -> None:
    console = "BUG: unable to handle kernel paging request at f\nIP: __purge_vmap_area_lazy+0x1/0x2\n" + PANIC
    known = kernel_failure("4.8.15-own", console, 90, False).english
    assert known != kernel_failure("6.1.7-own", console, 90, False).english
