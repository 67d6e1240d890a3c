"""What a command wrote, as text that can be shown: no escape sequences, no control characters, valid Unicode."""

import codecs
import re
from typing import Final

MAX_SEQUENCE: Final = 4_096
"""Characters that an escape sequence may have; what is longer is taken for text."""

_ESCAPE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)"  # strings for devices
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # two characters: character sets, reset
)
_UNFINISHED: Final = re.compile(
    r"(?:\x1b|(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*\x1b?"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*\x1b?|\x1b[ -/]+)\Z"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TerminalText:
    """Takes bytes as they come, cut anywhere, and gives text. A CR alone becomes a line end: nothing is overwritten."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """The text of DATA, as far as it can be told; FINAL, all that is left."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if not _CONTROLS.search(text):
            return text
        if not final:
            unfinished = _UNFINISHED.search(text, max(0, len(text) - MAX_SEQUENCE))
            if unfinished is not None:
                text, self._held = text[: unfinished.start()], unfinished[0]
        text = _ESCAPE.sub("", text)
        if text.endswith("\r") and not final:  # its LF may follow
            text, self._held = text[:-1], "\r" + self._held
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return _CONTROLS.sub("", text)
