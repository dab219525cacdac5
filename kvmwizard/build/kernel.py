"""The worker process that configures, compiles and stages a kernel, as the builder."""

from collections.abc import Sequence

from kvmwizard.build.kernel_compile import compile_kernel
from kvmwizard.build.kernel_config import configure
from kvmwizard.build.kernel_stage import stage
from kvmwizard.job import Work, main_exit, run_job

WORK: dict[str, Work] = {
    "configure-kernel": configure,
    "compile-kernel": compile_kernel,
    "stage-kernel": stage,
}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    return run_job(argv, WORK)


if __name__ == "__main__":
    main_exit(main)
