"""Images for a model: known by their first bytes, and made small enough for every provider.

A provider refuses each further request of a conversation that holds a broken or too large image, so that only what is
whole and within the limits goes out. Pillow, of the extra `images`, makes the others fit where it is installed.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from beyond_ai.spec.tool import ToolImage

if TYPE_CHECKING:
    from PIL.Image import Image

PROBED: Final = 4_100
"""How many bytes `image_format` is to see, at least, of a file that has them."""
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_PIXELS_A_SIDE: Final = 2_000
MAX_BYTES: Final = 4_718_592 * 3 // 4
"""So that it is 4.5 MiB in base64."""

_MAX_PIXELS: Final = 80_000_000
"""Of an image that is made smaller, which takes four bytes each; Pillow warns a little above that."""
_LEAST_PIXELS_A_SIDE: Final = 64
_TRIES: Final = 6
_FIRST_QUALITY: Final = 80
_QUALITY_STEP: Final = 10
_SCALE_STEP: Final = 0.8

_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MEDIA_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True)
class Shown:
    """An image as the model gets it, None when it gets none, and what to tell it."""

    image: ToolImage | None
    note: str


def image_format(start: bytes) -> str | None:
    """PNG, JPEG, GIF, WEBP or BMP, for a file that begins with START; None for others and for an animated PNG."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        before_pixels = start[: start.find(b"IDAT")] if b"IDAT" in start else start
        return None if b"acTL" in before_pixels else "PNG"
    if start.startswith(b"\xff\xd8\xff") and start[3:4] != b"\xf7":
        return "JPEG"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WEBP"
    if start.startswith(b"BM") and len(start) >= 26 and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None


def prepare(kind: str, data: bytes) -> Shown:
    """The image whose file is DATA, of the format KIND, within the limits. Never raises for what is in the file."""
    try:
        from PIL import Image
    except ImportError:
        return _as_it_is(kind, data)
    size = image_size(kind, data)
    if size is not None and size[0] * size[1] > _MAX_PIXELS:
        return Shown(None, f"{kind} image of {_by(size)} pixels: too large to be shown.")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            image.load()
            return _fit(kind, data, image)
    # Pillow has no exception of its own for a damaged file
    except Exception as error:  # noqa: BLE001
        return Shown(None, f"{kind} image that cannot be shown: it is damaged ({type(error).__name__}: {error}).")


def too_large(data: bytes) -> bool:
    """Whether DATA is an image beyond what every provider takes."""
    kind = image_format(data[:PROBED])
    size = None if kind is None else image_size(kind, data)
    return len(data) > MAX_BYTES or (size is not None and max(size) > MAX_PIXELS_A_SIDE)


def _fit(kind: str, data: bytes, image: "Image") -> Shown:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    size = upright.size
    fits = kind in _MEDIA_TYPES and max(size) <= MAX_PIXELS_A_SIDE and len(data) <= MAX_BYTES
    if fits and image.getexif().get(0x0112, 1) == 1:
        return Shown(ToolImage(_MEDIA_TYPES[kind], data), f"{kind} image, {_by(size)} pixels.")
    for smaller, media_type, encoded in _attempts(upright):
        if len(encoded) <= MAX_BYTES:
            return Shown(ToolImage(media_type, encoded), _note(kind, size, smaller))
    return Shown(None, f"{kind} image of {_by(size)} pixels: too large to be shown.")


def _note(kind: str, size: tuple[int, int], shown: tuple[int, int]) -> str:
    note = f"{kind} image, {_by(size)} pixels"
    if shown == size:
        return f"{note}."
    return f"{note}, shown at {_by(shown)}: multiply coordinates by {size[0] / shown[0]:.2f} to get those of the file."


def _attempts(image: "Image") -> Iterator[tuple[tuple[int, int], str, bytes]]:
    """IMAGE in sizes and encodings that get smaller, within the limit of pixels a side."""
    from PIL import Image

    scale = min(1.0, MAX_PIXELS_A_SIDE / max(image.size))
    quality = _FIRST_QUALITY
    for attempt in range(_TRIES):
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        plain = image if image.mode in {"L", "LA", "RGB", "RGBA"} else image.convert("RGBA")
        smaller = plain if size == image.size else plain.resize(size, Image.Resampling.LANCZOS)
        if attempt == 0:
            yield size, "image/png", _encoded(smaller, "PNG")
        yield size, "image/jpeg", _encoded(_opaque(smaller), "JPEG", quality=quality)
        if min(size) * _SCALE_STEP < _LEAST_PIXELS_A_SIDE:
            return
        scale *= _SCALE_STEP
        quality -= _QUALITY_STEP


def _opaque(image: "Image") -> "Image":
    """IMAGE on white, for JPEG knows no transparency."""
    if image.mode not in {"LA", "RGBA"}:
        return image
    from PIL import Image

    whole = image.convert("RGBA")
    white = Image.new("RGBA", whole.size, "white")
    return Image.alpha_composite(white, whole).convert("RGB")


def _encoded(image: "Image", kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _as_it_is(kind: str, data: bytes) -> Shown:
    """Without Pillow: the image, if it is whole, within the limits and of a format that providers take."""
    install = "Install beyond-ai[images] to have it converted."
    size = image_size(kind, data)
    if size is None:
        return Shown(None, f"{kind} image that cannot be shown: it is damaged.")
    if kind not in _MEDIA_TYPES:
        return Shown(None, f"{kind} image, {_by(size)} pixels, in a format that cannot be shown as it is. {install}")
    if max(size) > MAX_PIXELS_A_SIDE or len(data) > MAX_BYTES:
        return Shown(None, f"{kind} image, {_by(size)} pixels, {len(data)} bytes: too large to be shown. {install}")
    return Shown(ToolImage(_MEDIA_TYPES[kind], data), f"{kind} image, {_by(size)} pixels.")


def image_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels by the header; None when DATA is cut short or makes no sense."""
    try:
        size = _SIZES[kind](data)
    except (struct.error, IndexError):
        return None
    return size if size is not None and min(size) > 0 else None


def _png_size(data: bytes) -> tuple[int, int] | None:
    return struct.unpack_from(">II", data, 16) if data[-8:-4] == b"IEND" else None


def _gif_size(data: bytes) -> tuple[int, int] | None:
    return struct.unpack_from("<HH", data, 6) if data.rstrip(b"\0").endswith(b";") else None


def _bmp_size(data: bytes) -> tuple[int, int] | None:
    if int.from_bytes(data[14:18], "little") == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < int.from_bytes(data[4:8], "little") + 8:
        return None
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    if b"\xff\xd9" not in data[-4096:]:
        return None
    position = 2
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


_SIZES: Final = {"PNG": _png_size, "JPEG": _jpeg_size, "GIF": _gif_size, "WEBP": _webp_size, "BMP": _bmp_size}


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
