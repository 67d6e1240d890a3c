"""What a tool gave back, as the conversation keeps it."""

from binascii import b2a_base64
from typing import Final

from beyond_ai.spec.conversation import Image, ToolOutput
from beyond_ai.spec.tool import ToolImage, ToolResult

RESULT_CHARS: Final = 400_000
"""Of a result at most, whatever the tool says: far above what a tool that keeps to its limits returns."""


def failure(text: str) -> ToolResult:
    """An error result."""
    return ToolResult(text, is_error=True)


def checked(name: str, result: object) -> ToolResult:
    """RESULT of the tool NAME if it is one, and an error result otherwise."""
    if not isinstance(result, ToolResult) or not isinstance(result.text, str):
        return failure(f"{name} returned {type(result).__name__}, which is no result; what it did stays done.")
    if not all(isinstance(image, ToolImage) for image in result.images):
        return failure(f"{name} returned images that are none; what it did stays done.")
    if not all(isinstance(value, str) for value in result.details.values()):
        return failure(f"{name} returned details that are no text; what it did stays done.")
    return result


def output(call_id: str, result: ToolResult, remark: str | None) -> ToolOutput:
    """RESULT as a block, with a REMARK of the loop's to the model."""
    text = result.text
    if len(text) > RESULT_CHARS:
        text = f"{text[:RESULT_CHARS]}\n[cut: {len(text):,} characters in all]"
    if remark is not None:
        text = f"{text}\n\n{remark}"
    shown, given = _small(result.images), len(result.images)
    if len(shown) < given:
        text = f"{text}\n[{given - len(shown)} left out of {given} images: too large for a model]"
    images = tuple(
        Image(media_type=image.media_type, data=b2a_base64(image.data, newline=False).decode()) for image in shown
    )
    return ToolOutput(tool_use_id=call_id, content=_encodable(text), is_error=result.is_error, images=images)


def _small(images: tuple[ToolImage, ...]) -> list[ToolImage]:
    """Those of IMAGES that providers take: another one in the history would spoil every later request."""
    if not images:
        return []
    from beyond_ai.images import too_large

    return [image for image in images if not too_large(image.data)]


def _encodable(text: str) -> str:
    """TEXT without halves of surrogate pairs, which no request can carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
