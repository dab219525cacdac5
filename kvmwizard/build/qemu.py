"""The worker process that configures, compiles and stages a QEMU, as the builder."""

from collections.abc import Sequence

from kvmwizard.build.qemu_compile import compile_qemu
from kvmwizard.build.qemu_configure import configure_qemu
from kvmwizard.build.qemu_stage import stage_qemu
from kvmwizard.job import Work, main_exit, run_job

WORK: dict[str, Work] = {
    "configure-qemu": configure_qemu,
    "compile-qemu": compile_qemu,
    "stage-qemu": stage_qemu,
}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    return run_job(argv, WORK)


if __name__ == "__main__":
    main_exit(main)
