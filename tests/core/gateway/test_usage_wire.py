"""The end of the path tells the wire."""

import pytest

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage, wire_of
from beyond_ai.spec.provider import Dialect


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        (b"/v1/chat/completions", Wire.CHAT),
        (b"/openai/v1/chat/completions", Wire.CHAT),
        (b"/inference/v1/chat/completions", Wire.CHAT),
        (b"/openai/deployments/some-model/chat/completions", Wire.CHAT),
        (b"/v1/completions", Wire.COMPLETIONS),
        (b"/v1/embeddings", Wire.EMBEDDINGS),
        (b"/v1/responses", Wire.RESPONSES),
        (b"/v1/responses/compact", Wire.RESPONSES),
        (b"/v1/responses/input_tokens", Wire.RESPONSES_COUNT),
        (b"/v1/messages", Wire.MESSAGES),
        (b"/api/v1/messages", Wire.MESSAGES),
        (b"/v1/messages/count_tokens", Wire.MESSAGES_COUNT),
    ],
)
def test_paths_with_a_wire(path: bytes, wire: Wire) -> None:
    assert wire_of(path) is wire


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"/v1/models",
        b"/v1/messages/batches",
        b"/v1/responses/resp_1",
        b"/v1/mychat-completions",
        b"/v1/files",
    ],
)
def test_paths_without_one(path: bytes) -> None:
    assert wire_of(path) is None


def test_only_messages_is_anthropic() -> None:
    anthropic = {wire for wire in Wire if wire.dialect is Dialect.ANTHROPIC}
    assert anthropic == {Wire.MESSAGES, Wire.MESSAGES_COUNT}


@pytest.mark.parametrize("wire", [Wire.MESSAGES_COUNT, Wire.RESPONSES_COUNT])
def test_counting_is_free(wire: Wire) -> None:
    tap = Tap()
    tap.feed(b'{"input_tokens":10,"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}')
    assert not wire.metered
    assert parse_usage(wire, False, tap) == Usage()
