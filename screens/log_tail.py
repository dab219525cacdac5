"""Reading the end of a growing log: at first its last part, later only what was added."""

import re
from pathlib import Path

OPENING_BYTES = 64 * 1024
KEPT_LINES = 200
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


def plain_text(text: str) -> str:
    """Log text without the terminal's control sequences; what a carriage return overwrote is left out."""
    lines = (part.rsplit("\r", 1)[-1] for part in text.replace("\r\n", "\n").expandtabs().split("\n"))
    return "\n".join(CONTROLS.sub("", part) for part in lines)


class LogTail:
    """The last lines of one file, kept up to date by reading only what was appended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position: int | None = None
        self._text = ""

    def lines(self) -> tuple[str, ...]:
        """The last lines now; none where there is no log."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                if self._position is None or end < self._position:
                    self._position, self._text = max(end - OPENING_BYTES, 0), ""
                file.seek(self._position)
                added = file.read(OPENING_BYTES)
                self._position = file.tell()
        except OSError:
            return ()
        self._text += added.decode(errors="replace")
        kept = self._text.split("\n")[-KEPT_LINES - 1 :]
        self._text = "\n".join(kept)
        return tuple(text for text in plain_text(self._text).split("\n") if text.strip())
