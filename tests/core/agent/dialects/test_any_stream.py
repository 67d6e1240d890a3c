"""Whatever a stream holds, a decoder makes an answer of it that holds together, or a typed failure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.agent.dialects.answers import answer_of, decoded

from beyond_ai.agent.dialects.choice import dialect_of
from beyond_ai.agent.dialects.failures import http_failure, stream_failure
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.testing import Answer, ToolCall, chat, messages, responses

ANSWER = Answer(
    text="one two", thinking="hm so", tool_calls=(ToolCall("read", '{"path": "x"}'), ToolCall("ls", '{"a": [1, 2]}'))
)
FRAMES = {name: tuple(wire.frames(ANSWER)) for name, wire in (("chat", chat), ("messages", messages), ("responses", responses))}  # fmt: skip  # noqa: E501

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def check(name: str, chunks: list[bytes]) -> None:
    try:
        answer = answer_of(decoded(dialect_of(name).decoder(), chunks), corrected=True)
    except ModelFailure:
        return
    assert all(call.input == {} for call in answer.calls if call.malformed is not None)


@pytest.mark.parametrize("name", FRAMES)
@given(data=st.data())
def test_frames_that_are_lost_repeated_or_out_of_order(name: str, data: st.DataObject) -> None:
    check(name, data.draw(st.lists(st.sampled_from(FRAMES[name]), max_size=40)))


@pytest.mark.parametrize("name", FRAMES)
@given(data=st.data())
def test_frames_with_a_piece_that_is_lost(name: str, data: st.DataObject) -> None:
    body = b"".join(FRAMES[name])
    start = data.draw(st.integers(0, len(body)))
    check(name, [body[:start], body[start + data.draw(st.integers(0, 300)) :]])


def _values(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The paths of all values within VALUE."""
    paths = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            paths += _values(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            paths += _values(inner, (*path, position))
    return paths


def _replaced(value: object, path: tuple[object, ...], by: object) -> object:
    if not path:
        return by
    if isinstance(value, dict):
        return {key: _replaced(inner, path[1:], by) if key == path[0] else inner for key, inner in value.items()}
    assert isinstance(value, list)
    return [_replaced(inner, path[1:], by) if number == path[0] else inner for number, inner in enumerate(value)]


@pytest.mark.parametrize("name", FRAMES)
@given(data=st.data())
def test_values_of_any_kind_anywhere(name: str, data: st.DataObject) -> None:
    frames = list(FRAMES[name])
    place = data.draw(st.integers(0, len(frames) - 1))
    line = frames[place].partition(b"data: ")[2]
    if line.startswith(b"{"):
        value = json.loads(line)
        changed = _replaced(value, data.draw(st.sampled_from(_values(value))), data.draw(JSON))
        frames[place] = b"data: " + json.dumps(changed).encode() + b"\n\n"
    check(name, frames)


@given(JSON, st.integers(300, 599))
def test_any_error_is_a_failure_that_can_be_told(value: object, status: int) -> None:
    for failure in (
        http_failure(status, json.dumps(value).encode(), {"retry-after": str(value)}),
        http_failure(status, json.dumps({"error": value}).encode(), {}),
        stream_failure(value),
    ):
        failure.message.encode("utf-8", "replace")
        assert failure.retry_after is None or failure.retry_after >= 0


@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_bytes_are_a_failure_that_can_be_told(body: bytes, status: int) -> None:
    assert http_failure(status, body, {}).status == status
