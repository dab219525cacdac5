"""The worker process that gets sources: downloads, unpacks, fetches tags."""

import json
from collections.abc import Sequence

from kvmwizard.fetch.client import prepare, prepare_encodings
from kvmwizard.fetch.download import download_source
from kvmwizard.fetch.git import fetch_tag
from kvmwizard.fetch.unpack import unpack_source
from kvmwizard.job import Work, main_exit, run_job

WORK: dict[str, Work] = {
    "download-source": download_source,
    "unpack-source": unpack_source,
    "fetch-tag": fetch_tag,
}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    downloads = json.loads(argv[-1])["kind"] == "download-source"
    return run_job(argv, WORK, _prepare_downloads if downloads else prepare_encodings)


def _prepare_downloads() -> None:
    prepare()


if __name__ == "__main__":
    main_exit(main)
