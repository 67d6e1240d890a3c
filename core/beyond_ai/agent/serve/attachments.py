"""Images that come with a command, as a model gets them."""

import base64
from collections.abc import Sequence
from typing import Final

from beyond_ai.agent.serve.frames import ImageData
from beyond_ai.images import image_format, prepare, too_large
from beyond_ai.spec.conversation import Image

MEDIA_TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What every provider takes."""


def attached(images: Sequence[ImageData]) -> tuple[Image, ...]:
    """IMAGES, smaller where no provider would take them: one in the history spoils every later request.

    Raises ValueError for one that cannot be made smaller, and for what is no image.
    """
    return tuple(_fitting(image, f"images[{place}]") for place, image in enumerate(images))


def _fitting(image: ImageData, where: str) -> Image:
    if image.media_type not in MEDIA_TYPES:
        raise ValueError(f"{where}: `media_type` is {image.media_type[:100]}, and not one of {', '.join(MEDIA_TYPES)}")
    try:
        data = base64.b64decode(image.data, validate=True)
    except ValueError:
        raise ValueError(f"{where}: `data` is no base64") from None
    if not data:
        raise ValueError(f"{where}: `data` is empty")
    if not too_large(data):
        return Image(media_type=image.media_type, data=image.data)
    kind = image_format(data)
    if kind is None:
        raise ValueError(f"{where}: is too large, and no image that can be made smaller")
    shown = prepare(kind, data)
    if shown.image is None:
        raise ValueError(f"{where}: {shown.note}")
    return Image(media_type=shown.image.media_type, data=base64.b64encode(shown.image.data).decode())
