"""A web server on loopback that serves a folder as nginx does, and misbehaves where it is told to."""

import datetime as dt
import email.utils
import html
import io
import re
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from tests.mirror.faults import HTML_PAGE, Fault

BLOCK = 64 * 1024
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Request:
    """What a client asked, and the status it was answered with."""

    method: str
    path: str
    range: str | None
    if_range: str | None
    if_none_match: str | None
    status: int


class MirrorServer(ThreadingHTTPServer):
    """Serves a folder; `start` and `close` for a thread, `serve_forever` for a process."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.folder = folder
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._faults: dict[str, list[Fault]] = {}
        self._guard = threading.Lock()

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{LOOPBACK}:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving; whoever is kept waiting is let go."""
        self.closing.set()
        self.shutdown()
        self.server_close()

    def fault(self, path: str, *faults: Fault) -> None:
        """Misbehave for this path, as `/qemu/qemu-10.1.0.tar.xz`: one fault after the other."""
        with self._guard:
            self._faults[path] = [fault for fault in faults for _ in range(fault.times or 1)]

    def heal(self, path: str) -> None:
        """Behave again."""
        with self._guard:
            self._faults.pop(path, None)

    def fault_of(self, path: str) -> Fault | None:
        """What this request meets; one that is not for ever is used up."""
        with self._guard:
            waiting = self._faults.get(path)
            if not waiting:
                return None
            return waiting[0] if waiting[0].times is None else waiting.pop(0)

    def note(self, request: Request) -> None:
        """Keep it for the tests."""
        with self._guard:
            self.requests.append(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    server: MirrorServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Tests look at `MirrorServer.requests`."""

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self.server.fault_of(re.sub(r"/again/\d+$", "", path))
        if fault is not None and fault.kind in _SIMPLE:
            self._misbehave(fault, path, body=body)
            return
        if fault is not None and fault.kind == "content":
            self._send(io.BytesIO(fault.content), len(fault.content), time.time(), fault, body=body)
            return
        file = self.server.folder / path.lstrip("/")
        if ".." in path.split("/") or not file.exists():
            self._send_page(
                HTTPStatus.NOT_FOUND, b"<html><body><h1>404 Not Found</h1></body></html>\n", body=body
            )
        elif file.is_dir():
            if path.endswith("/"):
                self._send_page(HTTPStatus.OK, index_page(file, path), body=body)
            else:
                self._redirect(path + "/")
        else:
            with file.open("rb") as opened:
                status = file.stat()
                self._send(opened, status.st_size, status.st_mtime, fault, body=body)

    def _misbehave(self, fault: Fault, path: str, *, body: bool) -> None:
        if fault.kind == "redirect":
            base, _, turn = path.partition("/again/")
            self._redirect(f"{base}/again/{int(turn or 0) + 1}")
        elif fault.kind == "html":
            self._send_page(HTTPStatus.OK, HTML_PAGE, body=body)
        else:
            self._send_page(fault.status, b"<html><body>No.</body></html>\n", body=body)

    def _redirect(self, target: str) -> None:
        self._note(HTTPStatus.FOUND)
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", quote(target))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_page(self, status: int, page: bytes, *, body: bool) -> None:
        self._note(status)
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if body:
            self.wfile.write(page)

    def _send(self, file: BinaryIO, size: int, changed: float, fault: Fault | None, *, body: bool) -> None:
        kind = fault.kind if fault is not None else None
        etag = f'"{int(changed * 1000):x}-{size:x}"'
        if self.headers.get("If-None-Match") == etag:
            self._note(HTTPStatus.NOT_MODIFIED)
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", etag)
            self.end_headers()
            return
        first = None if kind == "no-range" else self._first_byte(etag, changed)
        if first is not None and first >= size:
            self._note(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if kind == "wrong-range" and first is not None:
            first = max(0, first - 7)
        status = HTTPStatus.OK if first is None else HTTPStatus.PARTIAL_CONTENT
        length = size - (first or 0)
        if fault is not None and kind == "shorter-length":
            length = max(0, length - fault.after)
        self._note(status)
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", email.utils.formatdate(changed, usegmt=True))
        if kind != "no-range":
            self.send_header("Accept-Ranges", "bytes")
        if first is not None:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        if kind == "cut-without-length":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if body:
            file.seek(first or 0)
            self._copy(file, length, fault)

    def _first_byte(self, etag: str, changed: float) -> int | None:
        """Where the answer begins; None for the whole file, as where If-Range names another one."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        same = condition in {None, etag, email.utils.formatdate(changed, usegmt=True)}
        return int(asked[1]) if asked and same else None

    def _copy(self, file: BinaryIO, length: int, fault: Fault | None) -> None:
        if fault is None:
            self.wfile.flush()
            self.connection.sendfile(file, file.tell(), length)
            return
        kind = fault.kind
        if kind in {"truncate", "cut-without-length", "stall"}:
            length = min(length, fault.after)
        block = BLOCK if kind != "slow" else max(1, fault.rate // 20)
        left = length
        while left and (piece := file.read(min(block, left))):
            self.wfile.write(piece)
            left -= len(piece)
            if kind == "slow" and self.server.closing.wait(0.05):
                break
        if kind == "stall":
            self.wfile.flush()
            self.server.closing.wait()
        if kind in {"truncate", "cut-without-length", "stall"}:
            self.close_connection = True

    def _note(self, status: int) -> None:
        asked = self.headers
        self.server.note(
            Request(
                method=self.command,
                path=self.path,
                range=asked.get("Range"),
                if_range=asked.get("If-Range"),
                if_none_match=asked.get("If-None-Match"),
                status=int(status),
            )
        )


_SIMPLE = {"redirect", "status", "html"}


def index_page(folder: Path, path: str) -> bytes:
    """A listing as nginx's autoindex makes it, and kernel.org and download.qemu.org show it."""
    lines = ['<a href="../">../</a>']
    for entry in sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir(), entry.name)):
        name = entry.name + ("/" if entry.is_dir() else "")
        # Longer names are cut in what is shown, never in what is linked.
        shown = name if len(name) <= 50 else name[:47] + "..>"
        changed = dt.datetime.fromtimestamp(entry.stat().st_mtime, dt.UTC).strftime("%d-%b-%Y %H:%M")
        size = "-" if entry.is_dir() else str(entry.stat().st_size)
        link = f'<a href="{quote(name)}">{html.escape(shown)}</a>'
        lines.append(f"{link}{' ' * (50 - len(shown))} {changed} {size:>19}")
    title = html.escape(f"Index of {path}")
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<h1>{title}</h1><hr><pre>"
    return (head + "\r\n".join(lines) + "\r\n</pre><hr></body>\r\n</html>\r\n").encode()
