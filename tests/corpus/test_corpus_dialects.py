"""Every recorded stream is read as its JSON says: text, calls, reasoning, why it ended, and usage.

What it says is read here a second time, in the plainest way: for Responses from the terminal event, which repeats the
whole answer, for the others event by event. Usage and the finish come from the index.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.core.agent.dialects.answers import Answer, answer_of, decoded

from beyond_ai.agent.dialects.choice import dialect_of
from beyond_ai.agent.dialects.failures import http_failure
from beyond_ai.agent.failure import ModelFailure

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
DIALECTS = {"chat/completions": "chat", "responses": "responses", "messages": "messages"}
SEVERAL_ANSWERS = "anthropic/messages-vercel-ai-anthropic-anthropic-programmatic-tool-calling-1-chunks.sse"
"""Answers one after the other in one file; the first counts, while the index has the usage of the last."""

CORRECTED = ("openai/responses-vercel-ai-openai-responses-openai-shell-container-1-chunks.sse",)
"""Whose deltas were shortened by those who recorded them; the items at the end are whole."""

FAILURES = {
    "openai/responses-vercel-ai-openai-responses-openai-error-1-chunks.sse": ("quota", False),
    # Two of its events lack their last brace.
    "openai/responses-vercel-ai-openai-responses-parallel-tool-call-wrapper-1-chunks.sse": ("network", True),
    "openrouter/chat-pydantic-ai-openrouter-test-openrouter-stream-error.sse": ("bad_request", False),
    "openrouter/chat-req-llm-uter-meta-llama-llama-3-3-70b-instruct-free-object-streaming.sse": ("overloaded", True),
    "openrouter/chat-req-llm-openrouter-google-gemini-2-5-flash-lite-object-streaming-2.sse": ("overloaded", True),
    # These two say [DONE] and never why.
    "openrouter/chat-req-llm-openrouter-minimax-minimax-m1-object-streaming.sse": ("network", True),
    "openrouter/chat-req-llm-openrouter-qwen-qwen3-coder-object-streaming.sse": ("network", True),
    "groq/chat-pydantic-ai-groq-test-tool-use-failed-error-streaming-with-text.sse": ("bad_request", True),
    "groq/chat-pydantic-ai-groq-test-tool-use-failed-error-streaming-3.sse": ("bad_request", True),
    "groq/chat-req-llm-q-meta-llama-llama-4-scout-17b-16e-instruct-object-streaming.sse": ("bad_request", True),
    "groq/chat-req-llm-q-meta-llama-llama-4-scout-17b-16e-instruct-object-streaming-2.sse": ("bad_request", True),
}

Row = Mapping[str, Any]
Event = Mapping[str, Any]
Cut = Callable[[Row, bytes], list[bytes]]

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded answers are not here")


def _rows() -> list[Row]:
    index = CORPUS / "index.jsonl"
    if not index.is_file():
        return []
    rows: list[Row] = [json.loads(line) for line in index.read_text("utf-8").splitlines()]
    return [row for row in rows if row["kind"] in DIALECTS]


STREAMS = [row for row in _rows() if row["streaming"]]
WHOLE = [row for row in STREAMS if row["file"] not in FAILURES]
ERRORS = [row for row in _rows() if row["status"] >= 400]


def whole(_: Row, body: bytes) -> list[bytes]:
    return [body]


def sevens(_: Row, body: bytes) -> list[bytes]:
    return [body[start : start + 7] for start in range(0, len(body), 7)]


def single_bytes(_: Row, body: bytes) -> list[bytes]:
    return [body[start : start + 1] for start in range(len(body))]


def as_recorded(row: Row, body: bytes) -> list[bytes]:
    pieces, start = [], 0
    for size in row.get("transport_chunks") or []:
        pieces.append(body[start : start + size])
        start += size
    return [*pieces, body[start:]]


CUTS: list[Cut] = [whole, sevens, single_bytes, as_recorded]


def read(row: Row, chunks: list[bytes]) -> Answer:
    return answer_of(decoded(dialect_of(DIALECTS[row["kind"]]).decoder(), chunks), corrected=row["file"] in CORRECTED)


def body_of(row: Row) -> bytes:
    return CORPUS.joinpath(str(row["file"])).read_bytes()


def events_of(body: bytes) -> Iterator[Event]:
    for line in re.findall(rb"^data: ?(.*?)\r?$", body, re.MULTILINE):
        if line.strip() != b"[DONE]":
            yield json.loads(line)


@dataclass
class Expected:
    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, object]] = field(default_factory=list)
    stop_reason: str = ""


def chat_says(events: Iterator[Event]) -> Expected:
    says, finish = Expected(), ""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for event in events:
        for choice in event.get("choices", ()):
            delta = choice.get("delta", {})
            if finish:
                continue
            content = delta.get("content") or ""
            parts: list[Event] = [{"text": content}] if isinstance(content, str) else content
            for part in parts:
                says.thinking += "".join(piece["text"] for piece in part.get("thinking", ()))
                says.text += part.get("text", "")
            says.thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or ():
                place = call.get("index", len(names))
                names.setdefault(place, call["function"].get("name"))
                arguments[place] = arguments.get(place, "") + call["function"].get("arguments", "")
            finish = choice.get("finish_reason") or ""
    says.calls = [(names[place], json.loads(arguments[place] or "{}")) for place in sorted(names)]
    stops = {"length": "max_tokens", "tool_calls": "tool_use", "eos": "end_turn", "stop": "end_turn"}
    says.stop_reason = "tool_use" if names and finish == "stop" else stops[finish]
    return says


def responses_says(events: Iterator[Event]) -> Expected:
    says = Expected()
    response = list(events)[-1]["response"]
    for item in response["output"]:
        if item["type"] == "message":
            says.text += "".join(part["text"] for part in item["content"])
        elif item["type"] == "function_call":
            says.calls.append((item["name"], json.loads(item["arguments"])))
        elif item["type"] == "reasoning":
            summary = "\n\n".join(part["text"] for part in item["summary"])
            says.thinking += summary or "".join(part["text"] for part in item.get("content") or ())
    completed = response["status"] == "completed"
    says.stop_reason = ("tool_use" if says.calls else "end_turn") if completed else "max_tokens"
    return says


def messages_says(events: Iterator[Event]) -> Expected:
    says = Expected()
    names: dict[int, str] = {}
    inputs: dict[int, str] = {}
    given: dict[int, object] = {}
    for event in events:
        if event["type"] == "message_start":
            says, names, inputs, given = Expected(), {}, {}, {}
        elif event["type"] == "content_block_start":
            if event["content_block"]["type"] == "tool_use":
                names[event["index"]], inputs[event["index"]] = event["content_block"]["name"], ""
                given[event["index"]] = event["content_block"]["input"]
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            says.text += delta.get("text", "")
            says.thinking += delta.get("thinking", "")
            if event["index"] in inputs:
                inputs[event["index"]] += delta.get("partial_json", "")
        elif event["type"] == "message_delta":
            says.stop_reason = event["delta"]["stop_reason"]
            says.text += (event["delta"].get("stop_details") or {}).get("explanation") or ""
        elif event["type"] == "message_stop":
            break
    calls = [json.loads(inputs[index]) if inputs[index] else given[index] for index in sorted(names)]
    says.calls = list(zip((names[index] for index in sorted(names)), calls, strict=True))
    return says


SAYS = {"chat": chat_says, "responses": responses_says, "messages": messages_says}


@pytest.mark.parametrize("row", WHOLE, ids=lambda row: row["file"])
def test_a_stream_is_read_as_its_json_says(row: Row) -> None:
    body, dialect = body_of(row), DIALECTS[row["kind"]]
    says = SAYS[dialect](events_of(body))
    answers = [read(row, cut(row, body)) for cut in CUTS]
    answer = answers[0]
    assert all(other == answer for other in answers)
    assert answer.text == says.text
    assert answer.thinking == says.thinking
    assert [(call.name, call.input) for call in answer.calls] == says.calls
    assert all(call.malformed is None for call in answer.calls)
    assert answer.stop_reason == says.stop_reason
    if row["response_model"] and row["file"] != SEVERAL_ANSWERS:
        assert answer.model is not None
    if row["file"] != SEVERAL_ANSWERS:
        assert usage_of(row, answer) == row["expected"]


def usage_of(row: Row, answer: Answer) -> dict[str, int] | None:
    """The usage of ANSWER in the words of the index: input on Anthropic's wire is without what was cached."""
    usage, expected = answer.usage, row["expected"]
    if usage is None or expected is None:
        return None
    counts = {
        "input_tokens": usage.input_tokens if row["kind"] == "messages" else usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return {name: count for name, count in counts.items() if name in expected or count}


@pytest.mark.parametrize("file", FAILURES)
def test_a_stream_with_an_error_is_a_typed_failure(file: str) -> None:
    [row] = [row for row in STREAMS if row["file"] == file]
    body = body_of(row)
    for cut in CUTS:
        with pytest.raises(ModelFailure) as failure:
            read(row, cut(row, body))
        assert (failure.value.code, failure.value.retryable) == FAILURES[file]


def test_the_index_names_no_other_error() -> None:
    assert {row["file"] for row in STREAMS if "error_event" in row["features"]} <= FAILURES.keys()
    assert len(WHOLE) + len(FAILURES) == len(STREAMS) >= 237


@pytest.mark.parametrize("row", WHOLE, ids=lambda row: row["file"])
def test_a_stream_that_is_cut_is_a_failure(row: Row) -> None:
    """Before its terminal event: `[DONE]` and the usage behind a finish reason may be missing."""
    body, dialect = body_of(row), DIALECTS[row["kind"]]
    end = _terminal(dialect, body)
    for part in range(1, 9):
        cut = body[: end * part // 8]
        with pytest.raises(ModelFailure) as failure:
            read(row, [cut])
        assert (failure.value.code, failure.value.retryable) == ("network", True)


def _terminal(dialect: str, body: bytes) -> int:
    """Where the event begins that ends the answer in BODY."""
    said = {
        "chat": rb'"finish_reason": ?"',
        "responses": rb'"type": ?"response\.(completed|incomplete)"',
        "messages": rb'"type": ?"message_stop"',
    }
    found = re.search(said[dialect], body)
    assert found is not None
    return body.rfind(b"\n", 0, found.start()) + 1


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: row["file"])
def test_an_error_answer_is_a_typed_failure(row: Row) -> None:
    failure = http_failure(row["status"], body_of(row), {})
    assert failure.code == _expected_code(row), failure.message
    assert failure.retryable == (row["status"] == 429 or b"tool_use_failed" in body_of(row))
    assert failure.status == row["status"]


def _expected_code(row: Row) -> str:
    name, status = row["file"], row["status"]
    if "context-length-exceeded" in name:
        return "context_overflow"
    if "auth-error" in name or status == 401:
        return "auth"
    if status == 403:
        return "refused" if b"usage guidelines" in body_of(row) else "auth"
    return "rate_limit" if status == 429 else "bad_request"
