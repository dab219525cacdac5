"""What a bad mirror does to one file."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "truncate",
    "cut-without-length",
    "stall",
    "shorter-length",
    "redirect",
    "status",
    "html",
    "content",
    "no-range",
    "wrong-range",
    "slow",
]


@dataclass(frozen=True)
class Fault:
    """One kind of misbehaviour.

    - `truncate`: promises all, closes after `after` bytes of the answer.
    - `cut-without-length`: gives no length, and closes after `after` bytes.
    - `stall`: sends `after` bytes, then nothing for as long as the client waits.
    - `shorter-length`: says and sends `after` bytes fewer than the file has.
    - `redirect`: leads to another address of the same kind, for ever.
    - `status`: answers `status`, as 416 or 500, whatever was asked.
    - `html`: a page under the file's name, with 200, as a captive portal does.
    - `content`: `content` instead, under a validator of its own: a swapped signature, a file that changed.
    - `no-range`: answers a range with the whole file.
    - `wrong-range`: answers a range with another one.
    - `slow`: `rate` bytes a second.
    """

    kind: Kind
    after: int = 0
    status: int = 500
    content: bytes = b""
    rate: int = 100_000
    times: int | None = None
    """For that many requests of the file; None: for all."""


HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in to go on.</body></html>\n"
)
