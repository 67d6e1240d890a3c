"""What a file is that is no text, by its first bytes, and how it can be looked at all the same."""

from typing import Final, NamedTuple

PROBED: Final = 8_192
"""How many bytes `binary_kind` is to see, at least, of a file that has them."""

_PLAIN_CONTROLS: Final = frozenset(b"\t\n\r\f\b\x1b")
_CONTROLS_OF_TEXT: Final = 0.1


class Kind(NamedTuple):
    """A kind of file; `look` is a command that shows what is in it."""

    name: str
    look: str


_UNKNOWN: Final = Kind("binary data", "file, strings, xxd | head")
_UTF16: Final = Kind("UTF-16 text", "iconv -f UTF-16 -t UTF-8")
_ARCHIVE: Final = "ZIP archive (or a format based on it: docx, xlsx, jar, whl)"
_KINDS: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"%PDF-", Kind("PDF document", "pdftotext FILE -")),
    (0, b"PK\x03\x04", Kind(_ARCHIVE, "unzip -l")),
    (0, b"PK\x05\x06", Kind(_ARCHIVE, "unzip -l")),
    (0, b"\x1f\x8b", Kind("gzip data", "zcat")),
    (0, b"BZh", Kind("bzip2 data", "bzcat")),
    (0, b"\xfd7zXZ\0", Kind("xz data", "xzcat")),
    (0, b"\x28\xb5\x2f\xfd", Kind("zstd data", "zstdcat")),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("7-Zip archive", "7z l")),
    (257, b"ustar", Kind("tar archive", "tar tvf")),
    (0, b"\x7fELF", Kind("ELF executable or library", "readelf -h, strings")),
    (0, b"MZ", Kind("Windows executable or library", "file, strings")),
    (0, b"\xcf\xfa\xed\xfe", Kind("Mach-O executable or library", "otool -L, strings")),
    (0, b"\xca\xfe\xba\xbe", Kind("Java class or universal Mach-O file", "file, javap")),
    (0, b"\0asm", Kind("WebAssembly module", "wasm-objdump -h")),
    (0, b"SQLite format 3\0", Kind("SQLite database", "sqlite3 FILE .schema")),
    (0, b"PAR1", Kind("Parquet file", "a few lines of Python")),
    (0, b"\x93NUMPY", Kind("NumPy array", "a few lines of Python")),
    (0, b"\x89PNG", Kind("animated or damaged PNG image", "file")),
    (0, b"\xff\xd8\xff\xf7", Kind("JPEG-LS image", "file")),
    (0, b"II*\0", Kind("TIFF image", "file")),
    (0, b"MM\0*", Kind("TIFF image", "file")),
    (4, b"ftyp", Kind("MP4, HEIC or AVIF file", "file, ffprobe")),
    (0, b"ID3", Kind("MP3 audio", "file, ffprobe")),
    (0, b"OggS", Kind("Ogg media", "file, ffprobe")),
    (0, b"fLaC", Kind("FLAC audio", "file, ffprobe")),
    (0, b"RIFF", Kind("RIFF media", "file, ffprobe")),
    (0, b"wOFF", Kind("WOFF font", "file")),
    (0, b"wOF2", Kind("WOFF font", "file")),
)
_TEXT_TOO: Final = frozenset(
    {b"MZ", b"BZh", b"ID3", b"RIFF", b"PAR1", b"OggS", b"fLaC", b"wOFF", b"wOF2", b"ustar", b"ftyp"}
)
"""What a text may well begin with: these say what a file is only once it is known to be no text."""


def binary_kind(start: bytes) -> Kind | None:
    """What a file is that begins with START; None for text."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) and not start.startswith(b"\xff\xfe\0\0"):
        return _UTF16
    text = _is_text(start)
    for offset, magic, kind in _KINDS:
        if start.startswith(magic, offset) and not (text and magic in _TEXT_TOO):
            return kind
    return None if text else _UNKNOWN


def _is_text(start: bytes) -> bool:
    if b"\0" in start:
        return False
    controls = sum(byte < 0x20 and byte not in _PLAIN_CONTROLS for byte in start)
    return controls <= _CONTROLS_OF_TEXT * len(start)
