"""What an answer cost at least whose usage never came."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.tap import HEAD_BYTES, TAIL_BYTES, Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage
from beyond_ai.gateway.usage.estimate import estimate_usage

Event = dict[str, Any]

TEXT = "A stream that is cut short must not be free, and an estimate must not exceed the truth. "
FORGED = (
    '"usage":{"prompt_tokens":9000,"completion_tokens":9000}',
    'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}',
    '\n\ndata: {"type":"message_delta","usage":{"output_tokens":9000}}\n\n',
)
METERED = [wire for wire in Wire if wire.metered]


def stream(events: Iterable[Event]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def tapped(body: bytes, size: int = 5_000) -> Tap:
    tap = Tap()
    for start in range(0, len(body), size):
        tap.feed(body[start : start + size])
    return tap


def estimated(wire: Wire, body: bytes, words: int = 0, *, streaming: bool = True) -> Usage:
    """The usage of BODY, cut short, as the gateway makes it."""
    tap = tapped(body)
    usage = parse_usage(wire, streaming, tap, complete=False)
    estimate_usage(wire, streaming, tap, usage, words)
    return usage


def output(wire: Wire, *events: Event) -> int:
    return estimated(wire, stream(events)).output_tokens


def chunk(**delta: object) -> Event:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}


def block_delta(kind: str, index: int = 0, **delta: object) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def response_delta(kind: str, delta: object, number: int = 0) -> Event:
    return {"type": f"response.{kind}.delta", "sequence_number": number, "output_index": 0, "delta": delta}


def message_start(**usage: int) -> Event:
    return {"type": "message_start", "message": {"model": "m", "content": [], "usage": usage}}


# What an event has at least


@pytest.mark.parametrize(
    ("wire", "events", "tokens"),
    [
        (Wire.CHAT, [chunk(role="assistant", content="")], 0),
        (Wire.CHAT, [chunk(content=None), chunk(content=""), chunk()], 0),
        (Wire.CHAT, [chunk(content="Hi")], 1),
        (Wire.CHAT, [chunk(content="One two three four")], 3),
        (Wire.CHAT, [chunk(content=piece) for piece in "abcdefgh"], 7),
        (Wire.CHAT, [chunk(reasoning_content="Let me see what this is")], 1),
        (Wire.CHAT, [chunk(reasoning="We", content="Hi")], 2),
        (Wire.CHAT, [chunk(refusal="I can not do this")], 4),
        (Wire.CHAT, [chunk(content=[{"type": "text", "text": "One two three"}])], 2),
        (Wire.CHAT, [chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "One two"}]}])], 1),
        (Wire.CHAT, [chunk(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}])], 0),
        (Wire.CHAT, [chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a": 1, "b": "New York"}'}}])], 1),
        (Wire.CHAT, [chunk(audio={"data": "UklGRg=="}), chunk(images=[{"image_url": {"url": "data:"}}])], 0),
        (Wire.CHAT, [chunk(annotations=[{"url_citation": {"title": "One two three"}}])], 0),
        (Wire.MESSAGES, [block_delta("text_delta", text="One two three")], 2),
        (Wire.MESSAGES, [block_delta("thinking_delta", thinking="One two three")], 1),
        (Wire.MESSAGES, [block_delta("signature_delta", signature="One two three")], 0),
        (Wire.MESSAGES, [block_delta("citations_delta", citation={"cited_text": "One two three"})], 0),
        (
            Wire.MESSAGES,
            [block_delta("input_json_delta", partial_json=p) for p in ('{"c": "San F', "ra", 'ncisco"')],
            1,
        ),
        (Wire.MESSAGES, [{"type": "content_block_start", "content_block": {"type": "text", "text": "One two"}}], 0),
        (Wire.RESPONSES, [response_delta("output_text", "One two three")], 2),
        (Wire.RESPONSES, [response_delta("reasoning_text", "One two three")], 1),
        (Wire.RESPONSES, [response_delta("reasoning_summary_text", "One two three")], 0),
        (Wire.RESPONSES, [response_delta("function_call_arguments", '{"city": "New York"}')], 1),
        (Wire.RESPONSES, [response_delta("shell_call_output_content", {"stdout": "One two three"})], 0),
        (Wire.RESPONSES, [{"type": "response.output_text.done", "text": "One two three"}], 0),
    ],
)
def test_what_an_event_has_at_least(wire: Wire, events: list[Event], tokens: int) -> None:
    assert output(wire, *events) == tokens


def test_a_word_that_comes_in_pieces_is_one() -> None:
    assert output(Wire.CHAT, chunk(content="One tw"), chunk(content="o th"), chunk(content="ree")) == 2


def test_pieces_count_where_there_are_no_words() -> None:
    assert output(Wire.CHAT, *(chunk(content="世界") for _ in range(160))) == 150


def test_every_choice_counts() -> None:
    choices = [{"index": index, "delta": {"content": "One two three four"}} for index in range(3)]
    assert output(Wire.CHAT, {"choices": choices}) == 9


def test_a_summary_of_reasoning_was_not_generated() -> None:
    details = [{"type": "reasoning.summary", "summary": "Plan"}]
    assert output(Wire.CHAT, *[chunk(reasoning="Plan", reasoning_details=details)] * 75) == 0


def test_indented_code_in_arguments_is_no_word_a_line() -> None:
    code = json.dumps("if x:\n\n    \n    \n    \n    y()")
    assert output(Wire.MESSAGES, block_delta("input_json_delta", partial_json=code)) == 1


# The prompt, and what the provider did say


@pytest.mark.parametrize("wire", METERED)
def test_before_the_answer_the_input_alone_is_known(wire: Wire) -> None:
    for streaming in (True, False):
        assert estimated(wire, b"", 12, streaming=streaming) == Usage(input_tokens=12)


@pytest.mark.parametrize("wire", [wire for wire in Wire if not wire.metered])
def test_what_is_free_stays_free(wire: Wire) -> None:
    usage = Usage()
    assert not estimate_usage(wire, False, tapped(b"{}"), usage, 12)
    assert usage == Usage()


def test_message_start_knows_the_prompt() -> None:
    start = message_start(input_tokens=3, cache_read_input_tokens=900, cache_creation_input_tokens=40, output_tokens=1)
    usage = estimated(Wire.MESSAGES, stream([start, block_delta("text_delta", text="One two three")]), 500)
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (3, 900, 40)
    assert usage.output_tokens == 2


def test_a_prompt_that_came_from_the_cache_entirely_is_known_too() -> None:
    start = message_start(input_tokens=0, cache_read_input_tokens=900, output_tokens=8)
    usage = estimated(Wire.MESSAGES, stream([start, block_delta("text_delta", text="Hi")]), 500)
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (0, 900, 8)


def test_a_message_start_of_zeros_says_nothing() -> None:
    start = message_start(input_tokens=0, output_tokens=0)
    assert estimated(Wire.MESSAGES, stream([start]), 500).input_tokens == 500


def test_a_count_on_an_earlier_chunk_is_a_floor() -> None:
    said = {**chunk(content="Hi"), "usage": {"prompt_tokens": 7, "completion_tokens": 40, "total_tokens": 47}}
    usage = estimated(Wire.CHAT, stream([said, chunk(content="One two")]), 500)
    assert (usage.found, usage.input_tokens, usage.output_tokens) == (True, 7, 40)
    usage = estimated(Wire.CHAT, stream([said, *[chunk(content="One two ")] * 60]), 500)
    assert (usage.input_tokens, usage.output_tokens) == (7, 119)


def test_reasoning_and_cache_stay_unknown() -> None:
    usage = estimated(Wire.CHAT, stream([chunk(reasoning="Hm", content="Hi")]), 5)
    assert usage == Usage(input_tokens=5, output_tokens=2)


def test_an_error_alone_is_no_estimate() -> None:
    error = {"error": {"message": "One two three", "code": 502}}
    for events, is_estimate in (([error], False), ([chunk(content="One two"), error], True)):
        tap = tapped(stream(events))
        usage = parse_usage(Wire.CHAT, True, tap, complete=False)
        assert usage.error
        assert estimate_usage(Wire.CHAT, True, tap, usage, 12) == is_estimate
        assert (usage.input_tokens, usage.output_tokens) == ((12, 1) if is_estimate else (0, 0))


# Bodies, and the echo of completions


@pytest.mark.parametrize(
    ("wire", "body", "tokens"),
    [
        (Wire.CHAT, {"choices": [{"index": 0, "message": {"content": TEXT}}]}, 17),
        (Wire.MESSAGES, {"content": [{"type": "thinking", "thinking": TEXT}, {"type": "text", "text": TEXT}]}, 18),
        (
            Wire.RESPONSES,
            {
                "instructions": TEXT,
                "output": [
                    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]},
                ],
            },
            17,
        ),
        (Wire.EMBEDDINGS, {"data": [{"embedding": [0.1, 0.2]}]}, 0),
    ],
)
def test_a_body_cut_short(wire: Wire, body: Event, tokens: int) -> None:
    data = json.dumps(body).encode()
    whole = estimated(wire, data, 5, streaming=False)
    assert (whole.input_tokens, whole.output_tokens) == (5, tokens)
    cuts = [estimated(wire, data[:end], 5, streaming=False).output_tokens for end in range(len(data))]
    assert all(before <= after for before, after in pairwise(cuts))
    assert cuts[-10] >= tokens - 1


def test_a_body_cut_within_a_character_or_an_escape() -> None:
    body = '{"choices": [{"message": {"content": "One two 世界 \\u4e16 \\n three'.encode()
    cuts = [estimated(Wire.CHAT, body[:end], streaming=False).output_tokens for end in range(len(body) + 1)]
    assert cuts == sorted(cuts)
    assert cuts[-1] == 4


def test_an_echoed_prompt_is_not_counted_as_output() -> None:
    """A prompt of 16 words, echoed by two choices."""
    for texts, tokens in (((TEXT,), 0), ((TEXT, "Then it goes on and on "), 12), ((TEXT, TEXT, TEXT), 64)):
        pieces = [{"choices": [{"index": index, "text": text} for index in (0, 1)]} for text in texts]
        assert estimated(Wire.COMPLETIONS, stream(pieces), 16).output_tokens == tokens


# Longer than what is kept


def _long(wire: Wire, middle: Iterable[Event] = ()) -> list[Event]:
    """Enough of one text for more than head and tail, with MIDDLE in what is not kept."""
    if wire is Wire.CHAT:
        events = [chunk(content=" word") for _ in range(4_000)]
    elif wire is Wire.MESSAGES:
        events = [block_delta("text_delta", text=" one two three") for _ in range(4_000)]
    else:
        events = [response_delta("output_text", " word", number) for number in range(2, 4_002)]
    return [*events[:500], *middle, *events[500:]]


@pytest.mark.parametrize(("wire", "tokens"), [(Wire.CHAT, 4_000), (Wire.MESSAGES, 12_000), (Wire.RESPONSES, 4_000)])
def test_the_middle_is_taken_to_be_as_the_ends_are(wire: Wire, tokens: int) -> None:
    body = stream(_long(wire))
    assert len(body) > 2 * (HEAD_BYTES + TAIL_BYTES)
    assert tokens * 0.85 <= estimated(wire, body).output_tokens <= tokens
    returns = body.replace(b"\n", b"\r\n")
    assert tokens * 0.85 <= estimated(wire, returns).output_tokens <= tokens


def test_the_sparsest_part_decides() -> None:
    pad = {**chunk(content=" word"), "obfuscation": "x" * 2_000}
    body = stream([*[chunk(content=" word")] * 2_000, *[pad] * 5, *[chunk(content=" word")] * 500])
    assert estimated(Wire.CHAT, body).output_tokens <= 1_200


def test_what_a_search_found_is_not_text() -> None:
    found = {"type": "content_block_start", "index": 1, "content_block": {"content": "x" * 900_000}}
    events = [*_long(Wire.MESSAGES)[:500], found, *[block_delta("text_delta", 2, text=" one two three")] * 800]
    assert 1_000 <= estimated(Wire.MESSAGES, stream(events)).output_tokens <= 3 * 1_300


def test_an_image_in_the_middle_of_a_response_is_not_text() -> None:
    image = {"type": "response.image_generation_call.partial_image", "partial_image_b64": "x" * 900_000}
    assert estimated(Wire.RESPONSES, stream(_long(Wire.RESPONSES, [image]))).output_tokens <= 4_000


@pytest.mark.parametrize("number", [-5, 10**30, 1e300, True, None, "7", [7]])
def test_a_sequence_that_is_none_is_not_believed(number: object) -> None:
    events = _long(Wire.RESPONSES)
    for event in events[200:]:
        event["sequence_number"] = number
    assert estimated(Wire.RESPONSES, stream(events)).output_tokens <= 4_000


# Any bytes


@pytest.mark.parametrize("wire", [Wire.CHAT, Wire.MESSAGES, Wire.RESPONSES])
@pytest.mark.parametrize("forged", FORGED)
def test_generated_text_that_looks_like_a_report_or_an_event_is_text(wire: Wire, forged: str) -> None:
    def events(text: str) -> list[Event]:
        if wire is Wire.CHAT:
            return [chunk(content=text), chunk(tool_calls=[{"index": 0, "function": {"arguments": text}}])]
        if wire is Wire.MESSAGES:
            return [block_delta("text_delta", text=text), block_delta("input_json_delta", 1, partial_json=text)]
        return [response_delta("output_text", text), response_delta("function_call_arguments", text)]

    usage = estimated(wire, stream(events(forged)), 5)
    assert usage == Usage(input_tokens=5, output_tokens=usage.output_tokens)
    assert 1 <= usage.output_tokens <= 2 + len(forged.split())


_names = st.sampled_from(
    ["choices", "delta", "message", "content", "text", "type", "index", "tool_calls", "function", "arguments"]
) | st.sampled_from(
    ["reasoning", "reasoning_details", "thinking", "output", "output_index", "sequence_number", "usage", "error"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)
_kinds = st.sampled_from(
    ["content_block_delta", "text_delta", "input_json_delta", "message", "response.output_text.delta", "message_start"]
)
_events = st.lists(
    st.dictionaries(_names, _json | _kinds, max_size=5)
    | st.builds(lambda delta: {"choices": [{"delta": delta, "message": delta}]}, _json)
    | st.builds(lambda kind, delta: {"type": kind, "delta": delta, "index": 0}, _kinds, _json),
    max_size=8,
)


@given(st.sampled_from(list(Wire)), st.booleans(), st.binary(max_size=300) | _events.map(stream), st.integers(0, 99))
def test_no_bytes_raise(wire: Wire, streaming: bool, body: bytes, words: int) -> None:
    usage = estimated(wire, body, words, streaming=streaming)
    assert usage.input_tokens >= 0
    assert usage.output_tokens >= 0


@given(
    st.sampled_from(METERED),
    st.booleans(),
    _events.map(stream) | st.binary(max_size=99),
    st.integers(1, 2_000),
    st.integers(300, 200_000),
)
def test_chunk_borders_do_not_matter(wire: Wire, streaming: bool, part: bytes, times: int, size: int) -> None:
    body = (part * times)[:200_000]
    usages = []
    for step in (size, 5_000):
        usage = Usage()
        estimate_usage(wire, streaming, tapped(body, step), usage, 3)
        usages.append(usage)
    assert usages[0] == usages[1]


@given(
    st.lists(st.sampled_from(["word", " word", " two words", "世界", "\n\n", " ", "x", ""]), max_size=40),
    st.sampled_from([Wire.CHAT, Wire.MESSAGES, Wire.RESPONSES]),
    st.data(),
)
def test_no_more_comes_of_a_part_than_of_the_whole(texts: list[str], wire: Wire, data: st.DataObject) -> None:
    if wire is Wire.CHAT:
        events = [chunk(content=text) for text in texts]
    elif wire is Wire.MESSAGES:
        events = [block_delta("text_delta", text=text) for text in texts]
    else:
        events = [response_delta("output_text", text) for text in texts]
    body = stream(events)
    end = data.draw(st.integers(0, len(body)))
    whole = estimated(wire, body).output_tokens
    assert estimated(wire, body[:end]).output_tokens <= whole
    assert whole <= len([text for text in texts if text]) + sum(len(text.split()) for text in texts)
