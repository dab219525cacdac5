"""Asking a server for something: http, https, or a file of this machine under a file: address.

The HTTP library is imported late and the certificates are read once (`prepare`), before a
worker gives up root's rights.
"""

import codecs
import datetime as dt
import html
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit

from kvmwizard.fetch.refused import AnswerRefused, FetchRefused
from kvmwizard.words import Words, say

if TYPE_CHECKING:
    import ssl

    import httpx

NOT_MODIFIED = 304
OK = 200
PARTIAL = 206
RANGE_REFUSED = 416
LARGEST_TEXT_BYTES = 16 * 1024 * 1024
"""kernel.org's sha256sums.asc of a series has some hundred thousand bytes, its listing a million."""
REDIRECTS = 10
PASSING_TROUBLE = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same question may be answered (RFC 9110, section 15)."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, and how often it is asked again."""

    tries: int = 4
    wait_seconds: float = 1.0
    """After the first failed try; twice as long after each further one."""
    connect_seconds: float = 20.0
    stall_seconds: float = 45.0
    """How long not a single byte may come."""

    def wait(self, tried: int) -> None:
        """Wait as long as becomes the server after so many tries."""
        time.sleep(self.wait_seconds * 2 ** (tried - 1))


OUT_OF_ITS_TIME = ("certificate is not yet valid", "certificate has expired")
"""What OpenSSL says where clock and certificate do not go together (X509_verify_cert_error_string(3))."""
NUMBER_OF_ERROR = re.compile(r"^\[Errno -?\d+\] ")
"""How Python begins what the system says of an address."""
PATIENT = Patience()
BRISK = Patience(tries=1, connect_seconds=8.0, stall_seconds=15.0)
"""For what somebody waits for at the screen."""


@dataclass(frozen=True)
class Fetched:
    """What a server answered."""

    status: int
    """200, or 304 where what the caller knows is still so."""
    text: str | None
    """None for 304."""
    etag: str | None
    """What to ask with next time; None where the server gives no validator."""
    url: str
    """Where the answer came from in the end."""


def get_text(
    url: str, etag: str | None = None, largest: int = LARGEST_TEXT_BYTES, patience: Patience = BRISK
) -> Fetched:
    """What is at the address, as text.

    Args:
        url: http, https or file; a directory's index for a file: address that names one.
        etag: of the answer that the caller has: an unchanged one is not sent again.
        largest: how many bytes the answer may have.
        patience: how long to wait, and how often to ask.

    Raises:
        AnswerRefused: there is no answer, or one of no use; its `status` is 404 where
            there is no such file.
    """
    known = {"If-None-Match": etag} if etag is not None else {}
    content, status, tag, final = _get(url, known, largest, patience)
    text = None if status == NOT_MODIFIED else content.decode(errors="replace")
    return Fetched(status=status, text=text, etag=tag or etag, url=final)


def get_bytes(url: str, largest: int = LARGEST_TEXT_BYTES, patience: Patience = PATIENT) -> bytes:
    """What is at the address. Raises AnswerRefused."""
    return _get(url, {}, largest, patience)[0]


@cache
def prepare() -> "ssl.SSLContext":
    """Import what is needed, and read the certificates that servers are recognised by.

    Those that come with the HTTP library and those of this machine, to which an
    organisation adds its own. Raises FetchRefused.
    """
    import httpx  # noqa: PLC0415  -- 160 ms and 15 MB, only where something is fetched

    prepare_encodings()
    try:
        context = httpx.create_ssl_context()
        context.load_default_certs()
        # A first client imports its transport, which later nobody may be able to read.
        httpx.Client(verify=context, trust_env=False).close()
    except OSError as error:
        raise FetchRefused(
            say(
                "The certificates that servers are recognised by cannot be read: {error}. Mend what "
                "SSL_CERT_FILE and SSL_CERT_DIR name, or unset them.",
                error=error.strerror or str(error),
            )
        ) from error
    return context


def prepare_encodings() -> None:
    """Import what Python else imports when it is first asked for.

    Whoever has given up root's rights may not reach the interpreter's own folder any more.
    """
    for encoding in ("ascii", "idna", "latin-1"):
        codecs.lookup(encoding)


@contextmanager
def http_client(patience: Patience) -> Iterator["httpx.Client"]:
    """A client that follows redirects, uses the proxies that the person set, and never waits for ever.

    Raises FetchRefused where those proxies or the certificates cannot be used.
    """
    with _client(prepare(), patience) as client:
        yield client


def _client(certificates: "ssl.SSLContext", patience: Patience) -> "httpx.Client":
    import httpx  # noqa: PLC0415  -- see `prepare`

    timeout = httpx.Timeout(patience.stall_seconds, connect=patience.connect_seconds)
    # Compressed answers would have other lengths and ranges than the file.
    headers = {"Accept-Encoding": "identity", "User-Agent": "kvmwizard"}
    try:
        return httpx.Client(
            verify=certificates,
            timeout=timeout,
            follow_redirects=True,
            max_redirects=REDIRECTS,
            headers=headers,
        )
    except ImportError as error:
        raise FetchRefused(
            say(
                "The environment names a SOCKS proxy, and kvmwizard uses HTTP proxies alone. Name one of "
                "those in https_proxy and http_proxy, and unset all_proxy."
            )
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise FetchRefused(
            say(
                "The environment names a proxy that cannot be used: {error}. Mend https_proxy, http_proxy "
                "and all_proxy, as http://proxy.example:3128, or unset them.",
                error=str(error),
            )
        ) from error


def local_path(url: str) -> Path | None:
    """The path that a file: address names; None for other addresses."""
    parts = split_address(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def split_address(url: str) -> SplitResult:
    """The parts of an address; what is none has a path alone."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", url, "", "")


def host_of(url: str) -> str:
    """Whom people know the address by: its host, or the path of a file."""
    path = local_path(url)
    return str(path) if path is not None else (split_address(url).hostname or url)


def _get(
    url: str, headers: dict[str, str], largest: int, patience: Patience
) -> tuple[bytes, int, str | None, str]:
    path = local_path(url)
    if path is not None:
        return _get_local(path, url, headers.get("If-None-Match"), largest)
    tried = 0
    while True:
        tried += 1
        try:
            return _get_once(url, headers, largest, patience)
        except AnswerRefused as refused:
            if not refused.passing or tried >= patience.tries:
                raise
        patience.wait(tried)


def _get_once(
    url: str, headers: dict[str, str], largest: int, patience: Patience
) -> tuple[bytes, int, str | None, str]:
    import httpx  # noqa: PLC0415  -- see `prepare`

    content = bytearray()
    try:
        with http_client(patience) as client, client.stream("GET", url, headers=headers) as answer:
            status, tag, final = answer.status_code, answer.headers.get("ETag"), str(answer.url)
            if status == NOT_MODIFIED:
                return b"", status, tag, final
            if status != OK:
                raise status_refused(url, status)
            for piece in answer.iter_raw():
                content += piece
                if len(content) > largest:
                    raise AnswerRefused(too_large_words(url, largest), status)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
        raise trouble_refused(url, error, patience) from error
    return bytes(content), status, tag, final


def _get_local(path: Path, url: str, etag: str | None, largest: int) -> tuple[bytes, int, str | None, str]:
    try:
        status = path.stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        if tag == etag:
            return b"", NOT_MODIFIED, tag, url
        if stat.S_ISDIR(status.st_mode):
            return _index(path), OK, tag, url
        if not stat.S_ISREG(status.st_mode):
            raise AnswerRefused(say("{path} is no regular file. Name one that is.", path=str(path)))
        if status.st_size > largest:
            raise AnswerRefused(too_large_words(url, largest))
        return path.read_bytes(), OK, tag, url
    except FileNotFoundError as error:
        raise AnswerRefused(unreadable_words(path, error), 404) from error
    except OSError as error:
        raise AnswerRefused(unreadable_words(path, error)) from error


def _index(folder: Path) -> bytes:
    """A directory's names as links, as web servers list them."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    links = "\n".join(f'<a href="{quote(name)}">{html.escape(name)}</a>' for name in names)
    return f"<html><body><pre>\n{links}\n</pre></body></html>\n".encode(errors="replace")


def unreadable_words(path: Path, error: OSError) -> Words:
    """The sentence for a file of this machine that cannot be read."""
    return say(
        "{path} cannot be read: {error}. Put it where the user who builds may read it, or name another.",
        path=str(path),
        error=error.strerror or str(error),
    )


def too_large_words(url: str, largest: int) -> Words:
    """The sentence for an answer that is larger than anything of its kind."""
    return say(
        "{url} is larger than the {largest} MB that such a file may have, so it is not what it should be. "
        "Choose another mirror.",
        url=url,
        largest=largest // 1024 // 1024,
    )


def status_refused(url: str, status: int) -> AnswerRefused:
    """The refusal for a status that is of no use."""
    if status in {404, 410}:
        words = say("{host} has no {url}. Choose another mirror or version.", host=host_of(url), url=url)
        return AnswerRefused(words, status)
    words = say(
        "{host} answered {status} when asked for {url}. Try again later, or choose another mirror.",
        host=host_of(url),
        status=status,
        url=url,
    )
    return AnswerRefused(words, status, passing=status in PASSING_TROUBLE)


def trouble_refused(url: str, error: Exception, patience: Patience) -> AnswerRefused:
    """The refusal for an answer that did not come, or not whole."""
    import httpx  # noqa: PLC0415  -- see `prepare`

    lasting = httpx.TooManyRedirects | httpx.UnsupportedProtocol | httpx.InvalidURL | UnicodeError
    return AnswerRefused(_trouble_words(url, error, patience), passing=not isinstance(error, lasting))


def _trouble_words(url: str, error: Exception, patience: Patience) -> Words:
    import httpx  # noqa: PLC0415  -- see `prepare`

    host = host_of(url)
    if isinstance(error, httpx.TooManyRedirects):
        return say(
            "{host} leads from one address to the next without end for {url}. Choose another mirror.",
            host=host,
            url=url,
        )
    # UnicodeError: a host whose name no name server could know.
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | UnicodeError):
        return say(
            "{url} is no address of a file on a web server. Give one that begins with https:// or file:///.",
            url=url,
        )
    if isinstance(error, httpx.ConnectTimeout):
        return say(
            "{host} did not answer within {seconds} seconds. Check the network, or choose another mirror.",
            host=host,
            seconds=round(patience.connect_seconds),
        )
    if isinstance(error, httpx.TimeoutException):
        return say(
            "{host} sent nothing for {seconds} seconds. Try again later, or choose another mirror.",
            host=host,
            seconds=round(patience.stall_seconds),
        )
    if isinstance(error, httpx.ConnectError) and any(each in str(error) for each in OUT_OF_ITS_TIME):
        return say(
            "{host} shows a certificate that is not valid on {day}, which is today by this machine's clock. "
            "See with date whether the clock is right and set it if not; else choose another mirror.",
            host=host,
            day=dt.datetime.now(dt.UTC).date().isoformat(),
        )
    if isinstance(error, httpx.ConnectError):
        return say(
            "{host} cannot be reached: {error}. Check the network and its proxy, or choose another mirror.",
            host=host,
            error=NUMBER_OF_ERROR.sub("", str(error)),
        )
    return say(
        "The answer of {host} for {url} broke off: {error}. Try again, or choose another mirror.",
        host=host,
        url=url,
        error=str(error) or type(error).__name__,
    )
