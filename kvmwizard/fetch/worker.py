"""The worker process that gets sources: downloads, unpacks, fetches tags."""

import json
from collections.abc import Sequence

from kvmwizard.fetch.client import prepare, prepare_encodings
from kvmwizard.fetch.download import download_source
from kvmwizard.fetch.git import fetch_tag
from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.fetch.unpack import unpack_source
from kvmwizard.job import Job, Work, main_exit, run_job
from kvmwizard.words import say

WORK: dict[str, Work] = {
    "download-source": download_source,
    "unpack-source": unpack_source,
    "fetch-tag": fetch_tag,
}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    downloads = json.loads(argv[-1])["kind"] == "download-source"
    work = {kind: _refusing(work) for kind, work in WORK.items()}
    return run_job(argv, work, _prepare_downloads if downloads else prepare_encodings)


def _prepare_downloads() -> None:
    prepare()


def _refusing(work: Work) -> Work:
    """The same work, with the system's errors as sentences."""

    def do(job: Job) -> None:
        try:
            work(job)
        except OSError as error:
            raise FetchRefused(
                say(
                    "{path} cannot be used: {error}. Make room or allow the user who builds to read and "
                    "write there, then go on.",
                    path=str(error.filename or "?"),
                    error=error.strerror or str(error),
                )
            ) from error

    return do


if __name__ == "__main__":
    main_exit(main)
