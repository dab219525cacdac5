"""What is typed, read so that no byte of it can end the wizard."""

import codecs
import errno
from typing import Self

from textual.drivers import linux_driver

from kvmwizard.commands.exit_code import ExitCode
from screens.terminal import terminal_codeset


class KeyboardDriver(linux_driver.LinuxDriver):
    """Textual's driver, but for three things.

    Textual takes every byte for UTF-8 and gives up on the first one that is not:
    an accented letter on a Latin-1 terminal, or a disturbed line. It takes a
    terminal that is gone for a fault. And it shows its own faults to the person,
    source lines and all.
    """

    def run_input_thread(self) -> None:
        """Read keys in the encoding of the reader's locale; what is none of it becomes U+FFFD."""
        # The only way in: the decoder is a local variable of the method below.
        linux_driver.getincrementaldecoder = KeyDecoder  # type: ignore[assignment,attr-defined]  # imported there; called with one name alone
        try:
            super().run_input_thread()
        except OSError as error:
            # So ends a read that waits while the terminal goes; every later one finds nothing to read.
            if error.errno == errno.EIO:
                raise TerminalGone from error
            raise

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except TerminalGone:
            self._app.call_later(self._app.exit, ExitCode.RESUMABLE)
        except Exception as error:  # noqa: BLE001  -- whatever it is, the application ends in its own words
            self._app.call_later(self._app._handle_exception, error)  # noqa: SLF001  -- as Textual itself does


class TerminalGone(Exception):  # noqa: N818  -- no error, but the end
    """Nobody is at the other end any more; SIGHUP, where one comes, may come later."""


class KeyDecoder:
    """Stands in for what codecs.getincrementaldecoder gives, whatever encoding is asked for."""

    def __init__(self, _encoding: str) -> None:
        try:
            decoder = codecs.getincrementaldecoder(terminal_codeset())
        except LookupError:
            # A locale may name an encoding that Python does not have.
            decoder = codecs.getincrementaldecoder("utf-8")
        self._decoder = decoder(errors="replace")

    def __call__(self) -> Self:
        """The decoder itself."""
        return self

    def decode(self, typed: bytes, final: bool = False) -> str:
        """What was typed. Raises TerminalGone where nothing was: reading a raw terminal waits for a byte."""
        if not typed and not final:
            raise TerminalGone
        return self._decoder.decode(typed, final)
