"""Getting one file from mirrors, in order, going on where an earlier try broke off.

What broke off is asked for again with Range and If-Range (RFC 9110, sections 13.1.5 and
14.2): the rest comes only if the file is still the same one, else all of it. A server's
word that a file is complete is never taken for more than that: proofs decide.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvmwizard.fetch.archive import BEGINNING_BYTES, begins_as_named
from kvmwizard.fetch.client import (
    OK,
    PARTIAL,
    RANGE_REFUSED,
    Patience,
    host_of,
    http_client,
    local_path,
    status_refused,
    trouble_refused,
    unreadable_words,
)
from kvmwizard.fetch.partial_file import BLOCK_BYTES, Origin, PartialFile
from kvmwizard.fetch.refused import AnswerRefused
from kvmwizard.fetch.space import require_space
from kvmwizard.job import note
from kvmwizard.words import Words, say

if TYPE_CHECKING:
    import httpx

NEW_BYTES_THAT_COUNT = 1024 * 1024
"""A try that brought as much has not failed, however it ended."""

Tell = Callable[[int, int | None], None]
"""Told how many bytes are here, and of how many."""


@dataclass
class Transfer:
    """One file on its way."""

    name: str
    """The file's; its ending says what it must begin with."""
    part: PartialFile
    patience: Patience
    tell: Tell

    def fetch(self, urls: tuple[str, ...]) -> str:
        """Get the file as whole as servers say it is, and return the address that gave its end.

        Raises:
            AnswerRefused: no mirror gave it; with what the last one did.
            NoSpace: there is no room for it.
            OSError: the system's.
        """
        if self.part.complete and self.part.origin is not None:
            return self.part.origin.url
        for place, url in enumerate(urls, start=1):
            try:
                note(f"+ GET {url}")
                self._from_mirror(url)
            except AnswerRefused as refused:
                note(refused.words.english)
                if place == len(urls):
                    raise self._with_what_is_kept(refused) from refused
            else:
                return url
        raise AnswerRefused(say("No mirror of {name} is known. Name one.", name=self.name))

    def _with_what_is_kept(self, refused: AnswerRefused) -> AnswerRefused:
        if self.part.size < NEW_BYTES_THAT_COUNT:
            return refused
        words = say(
            "{reason} The {size} MB of {name} that came are kept: the next try begins after them.",
            reason=refused.words,
            size=self.part.size // 1_000_000,
            name=self.name,
        )
        return AnswerRefused(words, refused.status)

    def _from_mirror(self, url: str) -> None:
        """One mirror, as often as its troubles may pass."""
        path = local_path(url)
        if path is not None:
            self.part.empty()
            self._copy(path, url)
            return
        tried = 0
        while True:
            before = self.part.size
            tried += 1
            try:
                self._once(url)
            except AnswerRefused as refused:
                if self.part.size >= before + NEW_BYTES_THAT_COUNT:
                    tried = 1
                if not refused.passing or tried >= self.patience.tries:
                    raise
                note(refused.words.english)
            else:
                return
            self.patience.wait(tried)

    def _once(self, url: str) -> None:
        import httpx  # noqa: PLC0415  -- see `client.prepare`

        headers = self._range(url)
        try:
            with http_client(self.patience) as client, client.stream("GET", url, headers=headers) as answer:
                self._take(answer, url, asked="Range" in headers)
        except httpx.TimeoutException as error:
            # It had its time; another mirror is better than the same one again.
            refused = trouble_refused(url, error, self.patience)
            raise AnswerRefused(refused.words) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise trouble_refused(url, error, self.patience) from error

    def _range(self, url: str) -> dict[str, str]:
        condition = self.part.origin.condition(url) if self.part.origin is not None else None
        if condition is None or self.part.size == 0:
            return {}
        return {"Range": f"bytes={self.part.size}-", "If-Range": condition}

    def _take(self, answer: "httpx.Response", url: str, *, asked: bool) -> None:
        """Write what the server sends. Raises AnswerRefused, NoSpace, OSError, httpx's errors."""
        if answer.status_code == PARTIAL and asked:
            self._continue(answer, url)
        elif answer.status_code == OK:
            self._begin(answer, url)
        else:
            if answer.status_code == RANGE_REFUSED and asked:
                # What is here is longer than the file, so it is of another one.
                self.part.empty()
                raise AnswerRefused(_range_words(url), RANGE_REFUSED, passing=True)
            raise status_refused(url, answer.status_code)
        total = self.part.origin.length if self.part.origin is not None else None
        for piece in answer.iter_raw():
            if self.part.size < BEGINNING_BYTES:
                self._judge_beginning(piece, url)
            self.part.write(piece)
            self.tell(self.part.size, total)
        if total is not None and self.part.size != total:
            raise AnswerRefused(_short_words(url, self.part.size, total), passing=True)

    def _begin(self, answer: "httpx.Response", url: str) -> None:
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise AnswerRefused(_page_words(url, self.name))
        said = answer.headers.get("Content-Length", "")
        length = int(said) if said.isdecimal() else None
        # What is here of an earlier try gives its room back.
        require_space(self.part.path.parent, (length or 0) - self.part.size)
        headers = answer.headers
        self.part.begin(Origin(url, headers.get("ETag"), headers.get("Last-Modified"), length))

    def _continue(self, answer: "httpx.Response", url: str) -> None:
        said = answer.headers.get("Content-Range", "")
        first, _, total = said.removeprefix("bytes ").partition("/")
        length = self.part.origin.length if self.part.origin is not None else None
        if length is None or (first.partition("-")[0], total) != (str(self.part.size), str(length)):
            self.part.empty()
            raise AnswerRefused(_range_words(url), PARTIAL, passing=True)
        require_space(self.part.path.parent, length - self.part.size)
        self.part.resumed = True

    def _judge_beginning(self, piece: bytes, url: str) -> None:
        """Refuse what cannot be such a file, before anything of it is kept."""
        if len(piece) >= BEGINNING_BYTES and not begins_as_named(self.name, piece[:BEGINNING_BYTES]):
            self.part.empty()
            raise AnswerRefused(_page_words(url, self.name))

    def _copy(self, path: Path, url: str) -> None:
        """From a file of this machine."""
        for piece, length in _pieces(path):
            if self.part.size == 0:
                self._judge_beginning(piece, url)
                require_space(self.part.path.parent, length)
                self.part.begin(Origin(url, None, None, length))
            self.part.write(piece)
            self.tell(self.part.size, length)


def _pieces(path: Path) -> Iterator[tuple[bytes, int]]:
    """The file in blocks, each with the length of all."""
    try:
        with path.open("rb") as source:
            length = os.fstat(source.fileno()).st_size
            while piece := source.read(BLOCK_BYTES):
                yield piece, length
    except OSError as error:
        raise AnswerRefused(unreadable_words(path, error)) from error


def _range_words(url: str) -> Words:
    return say(
        "{host} does not go on with {url} where it broke off. It is asked for all of it again.",
        host=host_of(url),
        url=url,
    )


def _page_words(url: str, name: str) -> Words:
    return say(
        "What {host} sent for {url} is not {name} but something else, as the page of a network that wants "
        "you to sign in. Open a page of that network in a browser, or choose another mirror.",
        host=host_of(url),
        url=url,
        name=name,
    )


def _short_words(url: str, size: int, total: int) -> Words:
    return say(
        "{host} sent {size} bytes of {url} and had promised {total}. Try again, or choose another mirror.",
        host=host_of(url),
        size=size,
        url=url,
        total=total,
    )
