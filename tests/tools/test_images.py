"""Images that `read` gives to a model, with Pillow and without."""

import io
import random
import subprocess
import sys
from typing import Any, Literal

import pytest
from PIL import Image
from tests.tools.conftest import MakeContext

from beyond_ai import ToolContext, images
from beyond_ai.images import MAX_BYTES, image_format, image_size, prepare
from beyond_ai_tools.coding.read import ReadArguments, read


def picture(kind: str, size: tuple[int, int] = (30, 20), mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1 if mode == "1" else None).save(file, kind, **options)
    return file.getvalue()


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    channels = len(mode)
    return Image.frombytes(mode, size, random.Random(1).randbytes(size[0] * size[1] * channels))


KINDS = ["PNG", "JPEG", "GIF", "WEBP", "BMP"]


@pytest.mark.parametrize("kind", KINDS)
def test_known_by_its_first_bytes(kind: str) -> None:
    data = picture(kind)
    assert image_format(data[: images.PROBED]) == kind
    assert image_size(kind, data) == (30, 20)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
def test_the_size_of_each_form_of_webp(options: dict[str, Any]) -> None:
    assert image_size("WEBP", picture("WEBP", (301, 20), **options)) == (301, 20)


def test_the_size_of_a_jpeg_that_is_progressive() -> None:
    assert image_size("JPEG", picture("JPEG", (301, 20), progressive=True)) == (301, 20)


def test_what_only_looks_like_one() -> None:
    moving = io.BytesIO()
    Image.new("RGB", (9, 9)).save(moving, "PNG", save_all=True, append_images=[Image.new("RGB", (9, 9), "red")])
    assert image_format(moving.getvalue()) is None
    assert image_format(b"\xff\xd8\xff\xf7" + b"\0" * 30) is None
    assert image_format(b"BM, said the bitmap to the text file") is None
    assert image_format(b"RIFF\0\0\0\0WAVE") is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_what_fits_goes_as_it_is_whatever_its_name(kind: str, context: ToolContext) -> None:
    data = picture(kind)
    (context.cwd / "picture.txt").write_bytes(data)
    result = await read(ReadArguments(path="picture.txt"), context)
    assert result.text == f"picture.txt: {kind} image, 30x20 pixels."
    assert [(image.media_type, image.data) for image in result.images] == [(f"image/{kind.lower()}", data)]


async def test_a_bitmap_becomes_png(context: ToolContext) -> None:
    (context.cwd / "a.bmp").write_bytes(picture("BMP"))
    result = await read(ReadArguments(path="a.bmp"), context)
    assert result.text == "a.bmp: BMP image, 30x20 pixels."
    assert image_format(result.images[0].data) == "PNG"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_too_many_pixels_are_scaled(mode: str) -> None:
    shown = prepare("PNG", picture("PNG", (4_000, 1_000), mode))
    assert shown.image is not None
    assert image_size("PNG", shown.image.data) == (2_000, 500)
    assert shown.note == (
        "PNG image, 4000x1000 pixels, shown at 2000x500: multiply coordinates by 2.00 to get those of the file."
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_too_many_bytes_become_jpeg_and_then_smaller(mode: str) -> None:
    file = io.BytesIO()
    noise((1_500, 1_200), mode).save(file, "PNG", compress_level=0)
    shown = prepare("PNG", file.getvalue())
    assert shown.image is not None
    assert shown.image.media_type == "image/jpeg"
    assert len(shown.image.data) <= MAX_BYTES
    assert image_size("JPEG", shown.image.data) == (1_500, 1_200)


def test_sizes_and_qualities_go_down_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    noise((400, 300)).save(file, "PNG")
    monkeypatch.setattr(images, "MAX_BYTES", 20_000)
    shown = prepare("PNG", file.getvalue())
    assert shown.image is not None
    assert len(shown.image.data) <= 20_000
    size = image_size("JPEG", shown.image.data)
    assert size is not None
    assert size[0] < 400
    assert f"shown at {size[0]}x{size[1]}" in shown.note
    monkeypatch.setattr(images, "MAX_BYTES", 500)
    assert prepare("PNG", file.getvalue()) == images.Shown(None, "PNG image of 400x300 pixels: too large to be shown.")


def test_transparent_parts_are_white_in_a_jpeg() -> None:
    clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    assert images._opaque(clear).getpixel((0, 0)) == (255, 255, 255)


def test_a_photograph_is_turned_as_its_camera_says() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    shown = prepare("JPEG", picture("JPEG", (30, 20), exif=turned))
    assert shown.image is not None
    assert image_size("PNG", shown.image.data) == (20, 30)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_image_is_never_sent(kind: str) -> None:
    file = io.BytesIO()
    noise((64, 64)).save(file, kind)
    shown = prepare(kind, file.getvalue()[: len(file.getvalue()) // 2])
    assert shown.image is None
    assert "damaged" in shown.note


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_damaged_image_is_not_sent_without_pillow_either(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture(kind)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert prepare(kind, data).image is not None
    assert prepare(kind, data[:-9]).image is None
    assert prepare(kind, data[:20]).image is None


def test_a_bomb_is_not_opened() -> None:
    data = bytearray(picture("PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    assert prepare("PNG", bytes(data)).note == "PNG image of 60000x60000 pixels: too large to be shown."


@pytest.mark.parametrize(
    ("kind", "size", "note"),
    [
        ("BMP", (30, 20), "BMP image, 30x20 pixels, in a format that cannot be shown as it is. Install"),
        ("PNG", (2_001, 2), "too large to be shown. Install beyond-ai[images] to have it converted."),
    ],
)
async def test_without_pillow_what_does_not_fit_is_a_note_and_no_error(
    kind: str, size: tuple[int, int], note: str, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    (context.cwd / "a").write_bytes(picture_without_pillow(kind, size))
    result = await read(ReadArguments(path="a"), context)
    assert note in result.text
    assert result.images == ()
    assert not result.is_error


def picture_without_pillow(kind: str, size: tuple[int, int]) -> bytes:
    order: Literal["little", "big"] = "little" if kind == "BMP" else "big"
    sizes = b"".join(side.to_bytes(4, order) for side in size)
    if kind == "BMP":
        return b"BM" + b"\0" * 12 + b"\x28\0\0\0" + sizes + b"\0" * 28
    header = b"\0\0\0\x0dIHDR" + sizes + b"\x08\x02\0\0\0" + b"\0" * 4
    return b"\x89PNG\r\n\x1a\n" + header + b"\0\0\0\0IEND\xaeB`\x82"


async def test_a_model_without_eyes_is_told(make_context: MakeContext) -> None:
    context = make_context(sees_images=False)
    (context.cwd / "a.png").write_bytes(picture("PNG"))
    result = await read(ReadArguments(path="a.png"), context)
    assert result.text == "a.png: PNG image, 30x20 pixels. This model cannot see images, so that it is left out."
    assert result.images == ()


async def test_a_huge_file_is_left_out(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 1_000)
    (context.cwd / "a.png").write_bytes(picture("PNG") + b"\0" * 9_000)
    result = await read(ReadArguments(path="a.png"), context)
    assert "image of more than 1.0 KB: too large to be shown" in result.text


def test_pillow_is_not_imported_for_text() -> None:
    code = "import sys, beyond_ai_tools.coding.read; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
