"""What is typed, read so that no byte of it can end the wizard."""

import codecs
from functools import partial

from textual.drivers import linux_driver

from screens.terminal import terminal_codeset


class KeyboardDriver(linux_driver.LinuxDriver):
    """Textual's driver, but for two things.

    Textual takes every byte for UTF-8 and gives up on the first one that is not:
    an accented letter on a Latin-1 terminal, or a disturbed line. And it shows its
    own faults to the person, source lines and all.
    """

    def run_input_thread(self) -> None:
        """Read keys in the encoding of the reader's locale; what is none of it becomes U+FFFD."""
        # The only way in: the decoder is a local variable of the method below.
        linux_driver.getincrementaldecoder = key_decoder  # type: ignore[assignment,attr-defined]  # imported there; called with one name alone
        super().run_input_thread()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except Exception as error:  # noqa: BLE001  -- whatever it is, the application ends in its own words
            self._app.call_later(self._app._handle_exception, error)  # noqa: SLF001  -- as Textual itself does


def key_decoder(_encoding: str) -> "partial[codecs.IncrementalDecoder]":
    """Stands in for codecs.getincrementaldecoder, whatever encoding is asked for."""
    try:
        decoder = codecs.getincrementaldecoder(terminal_codeset())
    except LookupError:
        # A locale may name an encoding that Python does not have.
        decoder = codecs.getincrementaldecoder("utf-8")
    return partial(decoder, errors="replace")
