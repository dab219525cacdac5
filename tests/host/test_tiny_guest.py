import json
import mmap
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kvmwizard.host import tiny_guest
from tests.kvm import why_no_guests

PROGRAM = Path(tiny_guest.__file__)
HEADER = Path("/usr/include/linux/kvm.h")
COMPILER = shutil.which("cc")
NAMED = re.compile(r"^(KVM_[A-Z_]+) = ", re.MULTILINE)

no_guests = why_no_guests()
runs_guests = pytest.mark.skipif(no_guests is not None, reason=no_guests or "")

WRITES_TO_NO_MEMORY = bytes.fromhex("a20090f4")  # mov [0x9000], al; hlt
WRITES_TO_ANOTHER_PORT = bytes.fromhex("e610f4")  # out 0x10, al; hlt
WRITES_FOR_EVER = bytes.fromhex("baf803eeebfd")  # mov dx, 0x3f8; again: out dx, al; jmp again
JUMPS_TO_NO_MEMORY = bytes.fromhex("eaffffffff")  # jmp 0xffff:0xffff
SPINS = r"\xeb\xfe"  # again: jmp again


def run_program(text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=text, capture_output=True, text=True, timeout=60, check=False
    )


@runs_guests
def test_a_guest_runs() -> None:
    result = tiny_guest.run_guest()
    assert result["problem"] is None
    assert result["ran"] is True
    assert result["output"] == "KVM"
    assert result["exits"] == 4
    assert result["instructions"] == 8


@runs_guests
@pytest.mark.parametrize("interpreter", [sys.executable, "/usr/bin/python3"])
def test_it_is_a_program_that_needs_nothing(interpreter: str, tmp_path: Path) -> None:
    if not Path(interpreter).exists():
        pytest.skip(f"{interpreter} is not here")
    copy = shutil.copy(PROGRAM, tmp_path)
    by_name = subprocess.run(
        [interpreter, "-I", "-S", copy], capture_output=True, cwd=tmp_path, timeout=60, check=False
    )
    by_text = subprocess.run(
        [interpreter, "-I", "-S", "-"],
        input=PROGRAM.read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    for process in (by_name, by_text):
        assert process.stderr == b""
        assert process.returncode == 0
        assert json.loads(process.stdout)["output"] == "KVM"


def test_it_imports_the_standard_library_alone() -> None:
    imported = re.findall(r"^(?:from|import) (\w+)", PROGRAM.read_text(), re.MULTILINE)
    assert imported
    assert set(imported) <= sys.stdlib_module_names


@runs_guests
def test_another_output_than_expected_fails() -> None:
    result = tiny_guest.run_guest(expected_output="XEN")
    assert result["ran"] is False
    assert result["problem"] == "the guest wrote 'KVM' instead of 'XEN'"


@runs_guests
@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (WRITES_TO_NO_MEMORY, "the guest stopped with KVM_EXIT_MMIO"),
        (WRITES_TO_ANOTHER_PORT, "the guest used port 0x10, which it should not"),
        (WRITES_FOR_EVER, "the guest did not halt within 64 exits"),
        (JUMPS_TO_NO_MEMORY, "the guest stopped with KVM_EXIT_"),
    ],
)
def test_a_guest_that_goes_astray_is_told(code: bytes, problem: str) -> None:
    result = tiny_guest.run_guest(code=code)
    assert result["ran"] is False
    assert str(result["problem"]).startswith(problem)


@runs_guests
def test_a_guest_that_never_halts_is_ended_by_its_own_alarm() -> None:
    text = PROGRAM.read_text().replace("SECONDS = 10", "SECONDS = 1").replace(r"\xf4", SPINS)
    process = run_program(text)
    assert process.stderr == ""
    assert process.returncode == 1
    assert json.loads(process.stdout)["problem"] == "the guest did not halt within 1 seconds"


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("/dev/kvm-that-is-not-there", "cannot open /dev/kvm-that-is-not-there: No such file or directory"),
        ("/dev/null", "KVM_GET_API_VERSION: Inappropriate ioctl for device"),
    ],
)
def test_what_is_no_kvm_device_is_told(device: str, problem: str) -> None:
    assert tiny_guest.run_guest(device=device, architecture="x86_64")["problem"] == problem


@runs_guests
def test_another_api_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_guest, "API_VERSION", 13)
    assert tiny_guest.run_guest()["problem"] == "/dev/kvm speaks KVM API version 12 instead of 13"


@pytest.mark.parametrize("text", ["KVM", 'a "b" \\ c', "\n\t\x00", "ä 虚"])
def test_its_json_is_read_as_it_was_meant(text: str) -> None:
    result: dict[str, object] = {
        "ran": True,
        "exits": 4,
        "milliseconds": 1.5,
        "problem": None,
        "output": text,
    }
    assert json.loads(tiny_guest.json_text(result)) == result


def test_other_architectures_are_told() -> None:
    result = tiny_guest.run_guest(architecture="aarch64")
    assert result["ran"] is False
    assert result["problem"] == "this guest is written for x86_64, and this machine is aarch64"


def test_no_descriptor_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    tiny_guest.run_guest()
    tiny_guest.run_guest(code=WRITES_TO_NO_MEMORY)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_reasons_of_the_hardware_and_of_kvm_are_told() -> None:
    with mmap.mmap(-1, 4096) as shared:
        struct.pack_into("<Q", shared, 32, 0x80000021)
        assert tiny_guest.described_exit(9, shared) == "KVM_EXIT_FAIL_ENTRY, hardware reason 0x80000021"
        struct.pack_into("<I", shared, 32, 1)
        named = "KVM_EXIT_INTERNAL_ERROR, suberror 1 (KVM_INTERNAL_ERROR_EMULATION)"
        assert tiny_guest.described_exit(17, shared) == named
        assert tiny_guest.described_exit(8, shared) == "KVM_EXIT_SHUTDOWN"
        assert tiny_guest.described_exit(77, shared) == "exit 77"


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
@pytest.mark.skipif(not HEADER.exists(), reason=f"{HEADER} is not here (package linux-libc-dev)")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the header is another architecture's")
def test_numbers_and_layouts_are_those_of_the_kernels_header(tmp_path: Path) -> None:
    names = NAMED.findall(PROGRAM.read_text())
    assert len(names) > 15
    layouts = {
        "sizeof(struct kvm_userspace_memory_region)": tiny_guest.MEMORY_REGION.size,
        "sizeof(struct kvm_regs)": tiny_guest.REGISTERS.size,
        "sizeof(struct kvm_sregs)": tiny_guest.SPECIAL_REGISTERS_SIZE,
        "offsetof(struct kvm_regs, rbx)": 8 * tiny_guest.RBX,
        "offsetof(struct kvm_regs, rip)": 8 * tiny_guest.RIP,
        "offsetof(struct kvm_regs, rflags)": 8 * tiny_guest.RFLAGS,
        "offsetof(struct kvm_sregs, cs.base)": tiny_guest.CODE_SEGMENT_BASE_OFFSET,
        "offsetof(struct kvm_sregs, cs.selector)": tiny_guest.CODE_SEGMENT_SELECTOR_OFFSET,
        "offsetof(struct kvm_run, exit_reason)": tiny_guest.EXIT_REASON_OFFSET,
        "offsetof(struct kvm_run, io)": tiny_guest.EXIT_UNION_OFFSET,
        "offsetof(struct kvm_run, io.data_offset)": tiny_guest.EXIT_UNION_OFFSET + 8,
        "offsetof(struct kvm_run, fail_entry)": tiny_guest.EXIT_UNION_OFFSET,
        "offsetof(struct kvm_run, internal)": tiny_guest.EXIT_UNION_OFFSET,
    }
    exits = {name: number for number, name in tiny_guest.EXIT_NAMES.items()}
    errors = {name: number for number, name in tiny_guest.INTERNAL_ERROR_NAMES.items()}
    ours = {name: getattr(tiny_guest, name) for name in names} | layouts | exits | errors
    lines = "".join(f'    printf("%lu\\n", (unsigned long)({expression}));\n' for expression in ours)
    source = tmp_path / "numbers.c"
    source.write_text(
        f"#include <stddef.h>\n#include <stdio.h>\n#include <linux/kvm.h>\nint main(void) {{\n{lines}}}\n"
    )
    subprocess.run([str(COMPILER), "-o", tmp_path / "numbers", source], check=True)
    printed = subprocess.run([tmp_path / "numbers"], check=True, capture_output=True, text=True).stdout
    assert dict(zip(ours, map(int, printed.split()), strict=True)) == ours
