"""The wire `/embeddings`: https://platform.openai.com/docs/api-reference/embeddings.

A vector is the SHAKE-256 hash of its text, scaled to length one: equal texts have equal vectors and nothing else is
meant by them.
"""

import base64
import hashlib
import math
import struct
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from beyond_ai_providers.echo.reply import Body, Call, Reply, json_reply
from beyond_ai_providers.echo.tokens import count

DEFAULT_DIMENSIONS = 256


def _as_texts(value: object) -> object:
    return [value] if isinstance(value, str) else value


class EmbeddingRequest(Body):
    """The request body; of the inputs that the wire allows, one string or a list of strings."""

    model: str = Field(min_length=1)
    input: Annotated[list[str], BeforeValidator(_as_texts), Field(min_length=1, max_length=2048)]
    dimensions: Annotated[int, Field(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


def reply(call: Call) -> Reply:
    """Answer one request."""
    request = call.read(EmbeddingRequest)
    size = request.dimensions or DEFAULT_DIMENSIONS
    data = []
    for index, text in enumerate(request.input):
        vector = vector_of(text, size)
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        shown = packed if request.encoding_format == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": shown})
    read = sum(count(text) for text in request.input)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return json_reply({"object": "list", "data": data, "model": request.model, "usage": usage})


def vector_of(text: str, size: int) -> list[float]:
    """SIZE numbers of single precision that stand for TEXT; the vector's length is one."""
    digest = hashlib.shake_256(text.encode()).digest(2 * size)
    numbers = [2 * number + 1 for number in struct.unpack(f"<{size}h", digest)]
    length = math.sqrt(sum(number * number for number in numbers))
    single = struct.pack(f"<{size}f", *(number / length for number in numbers))
    return list(struct.unpack(f"<{size}f", single))
