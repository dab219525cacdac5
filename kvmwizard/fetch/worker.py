"""The worker process that gets sources: downloads, unpacks, fetches tags."""

from collections.abc import Sequence

from kvmwizard.fetch.client import prepare
from kvmwizard.fetch.download import download_source
from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.job import Job, Work, main_exit, run_job


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    work: dict[str, Work] = {"download-source": download_source}
    return run_job(argv, {kind: _refusing(do) for kind, do in work.items()}, _prepare)


def _prepare() -> None:
    # The builder may not read what root may: the libraries, the certificates.
    import httpx  # noqa: F401, PLC0415

    prepare()


def _refusing(work: Work) -> Work:
    """The work, with the system's errors as sentences."""

    def do(job: Job) -> None:
        try:
            work(job)
        except OSError as error:
            raise FetchRefused(_words(error)) from error

    return do


if __name__ == "__main__":
    main_exit(main)
