"""The scripted model, read with the stock SDKs and raw sockets: what it plays on each wire, and what it records."""

import asyncio
import socket
from collections.abc import Iterator

import anthropic
import httpx
import openai
import orjson
import pytest
from tests.gateway_process import VIRTUAL_KEY

from beyond_ai.spec.conversation import Image, Text, Thinking, ToolOutput, ToolUse
from beyond_ai.testing import (
    Answer,
    Broken,
    GatewayProcess,
    Held,
    HttpError,
    ModelCall,
    NoAnswer,
    PromptTooLong,
    Reply,
    ScriptedModel,
    Slow,
    ToolCall,
    Turn,
    says,
    tool_call,
    uses,
)

ENDPOINTS = {"chat": "/v1/chat/completions", "responses": "/openai/v1/responses", "messages": "/v1/messages?beta=true"}
WIRES = tuple(ENDPOINTS)
ASKED: dict[str, object] = {"model": "m", "stream": True}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        yield client


def ask(http: httpx.Client, model: ScriptedModel, wire: str, **body: object) -> httpx.Response:
    return http.post(model.url + ENDPOINTS[wire], json=ASKED | body)


def events(text: str) -> list[dict[str, object]]:
    """The data of each event of a stream."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [orjson.loads(line) for line in lines if line != "[DONE]"]


FULL = Answer(
    text="I read both files.",
    thinking="They may differ.",
    tool_calls=(tool_call("read", path="a.py"), tool_call("read", path="b.py")),
    input_tokens=40,
    cached_tokens=30,
    output_tokens=9,
)


def test_chat_brings_thinking_text_and_calls_to_the_stock_sdk() -> None:
    with (
        ScriptedModel(FULL) as model,
        openai.OpenAI(base_url=f"{model.url}/v1", api_key="sk-fake", max_retries=0) as client,
    ):
        streamed = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "?"}], stream=True, stream_options={"include_usage": True}
        )
        chunks = list(streamed)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "I read both files."
    thoughts = [delta.to_dict().get("reasoning_content") for delta in deltas]
    assert "".join(str(thought) for thought in thoughts if thought) == "They may differ."
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    arguments = ["", ""]
    for call in calls:
        assert call.function is not None
        arguments[call.index] += call.function.arguments or ""
    assert [orjson.loads(text) for text in arguments] == [{"path": "a.py"}, {"path": "b.py"}]
    assert [call.id for call in calls if call.id] == ["call_scripted_1_1", "call_scripted_1_2"]
    assert len(calls) == 6, "each in an opening and two portions"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (40, 9)


def test_responses_brings_thinking_text_and_calls_to_the_stock_sdk() -> None:
    with (
        ScriptedModel(FULL) as model,
        openai.OpenAI(base_url=f"{model.url}/v1", api_key="sk-fake", max_retries=0) as client,
        client.responses.stream(model="m", input="?") as stream,
    ):
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]
    assert final.output_text == "I read both files."
    [reasoning] = [item for item in final.output if item.type == "reasoning"]
    assert reasoning.summary[0].text == "They may differ."
    calls = [item for item in final.output if item.type == "function_call"]
    assert [(call.call_id, orjson.loads(call.arguments)) for call in calls] == [
        ("call_scripted_1_1", {"path": "a.py"}),
        ("call_scripted_1_2", {"path": "b.py"}),
    ]


def test_messages_brings_thinking_text_and_calls_to_the_stock_sdk() -> None:
    with (
        ScriptedModel(FULL) as model,
        anthropic.Anthropic(base_url=model.url, api_key="sk-ant-fake", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream,
    ):
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"path": "a.py"}, {"path": "b.py"}]
    assert final.stop_reason == "tool_use"
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens) == (10, 30)


PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
HISTORIES: dict[str, dict[str, object]] = {
    "chat": {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ]},
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}},
                {"id": "c2", "type": "function", "function": {"name": "read", "arguments": '{"path'}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
        ],
        "tools": [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}],
    },
    "responses": {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ]},
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"path": "a"}'},
            {"type": "function_call", "call_id": "c2", "name": "read", "arguments": '{"path'},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        ],
        "tools": [{"type": "function", "name": "read", "parameters": SCHEMA}],
    },
    "messages": {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a"}},
                {"type": "tool_use", "id": "c2", "name": "read", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "two"}],
                 "is_error": True},
            ]},
        ],
        "tools": [{"name": "read", "input_schema": SCHEMA}],
    },
}  # fmt: skip


@pytest.mark.parametrize("wire", WIRES)
def test_a_turn_sees_the_request_in_one_form_whatever_the_wire(http: httpx.Client, wire: str) -> None:
    def answer(request: ModelCall) -> Turn:
        return says(f"{request.results[0].content} and {request.results[1].content}")

    with ScriptedModel(answer) as model:
        streamed = ask(http, model, wire, **HISTORIES[wire]).text
    assert "one " in streamed
    [seen] = model.asked
    assert (seen.number, seen.wire, seen.model, seen.system) == (1, wire, "m", "Be brief.")
    assert seen.tools == {"read": SCHEMA}
    question, calls, results = seen.messages
    assert question.content == (Text(text="Look"), Image(media_type="image/png", data=PNG))
    assert calls.role == "assistant"
    thought, first, second = calls.content
    assert isinstance(thought, Thinking)
    assert thought.thinking == "hm"
    assert first == ToolUse(id="c1", name="read", input={"path": "a"})
    assert isinstance(second, ToolUse)
    assert second.malformed == (None if wire == "messages" else '{"path')
    assert results.content == seen.results
    assert seen.results == (
        ToolOutput(tool_use_id="c1", content="one"),
        ToolOutput(tool_use_id="c2", content="two", is_error=wire == "messages"),
    )
    assert seen.said == ""


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_that_is_not_streamed(http: httpx.Client, wire: str) -> None:
    with ScriptedModel(says("One two.")) as model:
        answer = ask(http, model, wire, stream=False)
    assert answer.headers["content-type"] == "application/json"
    assert "One two." in answer.text
    assert answer.json()["model"] == "scripted-model-2026-01-01"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("finish", "words"),
    [
        ("max_tokens", ("length", "max_output_tokens", "max_tokens")),
        ("refusal", ("content_filter", "content_filter", "refusal")),
        ("odd_word", ("odd_word",) * 3),
    ],
)
def test_why_an_answer_ends(http: httpx.Client, wire: str, finish: str, words: tuple[str, ...]) -> None:
    with ScriptedModel(Answer(text="", finish=finish)) as model:
        last = [event for event in events(ask(http, model, wire).text) if "message_stop" not in str(event)][-1]
    assert f"'{words[WIRES.index(wire)]}'" in str(last)
    assert wire != "responses" or last["type"] == "response.incomplete"


@pytest.mark.parametrize("wire", WIRES)
def test_arguments_that_are_cut_off_though_the_finish_says_tool_call(http: httpx.Client, wire: str) -> None:
    cut = ToolCall("bash", '{"command": "echo h')
    with ScriptedModel(uses(cut)) as model:
        streamed = ask(http, model, wire).text
    assert "echo h" in streamed
    assert "echo hi" not in streamed
    assert {"chat": "tool_calls", "responses": "response.completed", "messages": '"tool_use"'}[wire] in streamed


@pytest.mark.parametrize("wire", WIRES)
def test_error_responses(http: httpx.Client, wire: str) -> None:
    busy = HttpError(429, "slow down", "rate_limit_error", retry_after=1.5, headers=((b"x-odd", b"1"),))
    with ScriptedModel(busy, PromptTooLong(), then=HttpError(529, "full", "overloaded_error")) as model:
        answers = [ask(http, model, wire) for _ in range(4)]
        assert model.unplayed == 0
    assert [answer.status_code for answer in answers] == [429, 400, 529, 529]
    assert (answers[0].headers["retry-after"], answers[0].headers["x-odd"]) == ("1.5", "1")
    assert answers[0].json()["error"]["type"] == "rate_limit_error"
    error = answers[1].json()["error"]
    assert error.get("code", "context_length_exceeded") == "context_length_exceeded"
    assert wire != "messages" or error["message"].startswith("prompt is too long")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("ending", ["reset", "close"])
def test_a_connection_that_ends_before_or_within_an_answer(http: httpx.Client, wire: str, ending: str) -> None:
    assert ending in ("reset", "close")
    endings: list[Reply] = [NoAnswer(ending), Broken(says("One two three."), after=3, ending=ending)]  # type: ignore[arg-type]
    with ScriptedModel(*endings) as model:
        with pytest.raises(httpx.TransportError):
            ask(http, model, wire)
        with http.stream("POST", model.url + ENDPOINTS[wire], json=ASKED) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.TransportError):
                answer.read()


FINAL = {"chat": '"finish_reason":"stop"', "responses": "response.completed", "messages": "message_delta"}


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_ends_in_good_order_without_saying_why(http: httpx.Client, wire: str) -> None:
    with ScriptedModel(Broken(says("One two."), ending="end"), says("One two.")) as model:
        cut, whole = ask(http, model, wire).text, ask(http, model, wire).text
    assert "two." in cut
    assert whole.startswith(cut)
    assert FINAL[wire] in whole
    assert FINAL[wire] not in cut


@pytest.mark.parametrize("wire", WIRES)
def test_an_error_event_within_a_stream(http: httpx.Client, wire: str) -> None:
    with ScriptedModel(Broken(says("One two."), after=4, ending="error")) as model:
        last = events(ask(http, model, wire).text)[-1]
    assert "overloaded" in str(last["error"])


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_stalls_is_let_go_when_the_client_leaves(wire: str) -> None:
    with (
        ScriptedModel(Broken(says("One two."), after=2, ending="stall"), NoAnswer("stall")) as model,
        httpx.Client(timeout=0.2) as impatient,
    ):
        answer = impatient.send(impatient.build_request("POST", model.url + ENDPOINTS[wire], json=ASKED), stream=True)
        with pytest.raises(httpx.ReadTimeout):
            answer.read()
        assert model.wait_closed(0).requests[0].aborted
        with pytest.raises(httpx.ReadTimeout):
            ask(impatient, model, wire)


def test_a_stream_that_is_held_until_the_test_lets_it_go(http: httpx.Client) -> None:
    gate = asyncio.Event()
    with (
        ScriptedModel(Held(says("One two three."), gate, after=2)) as model,
        http.stream("POST", model.url + ENDPOINTS["chat"], json=ASKED) as answer,
    ):
        received = answer.iter_text()
        before = next(received)
        assert "One" not in before or "two" not in before
        model.set(gate)
        assert "three." in before + "".join(received)


def test_a_slow_stream_is_whole(http: httpx.Client) -> None:
    with ScriptedModel(Slow(says("One two."), 0.001), says("One two.")) as model:
        assert ask(http, model, "messages").text == ask(http, model, "messages").text


def wrong(request: ModelCall) -> Turn:
    raise LookupError("no such result")


def test_what_was_not_written_fails_the_test(http: httpx.Client) -> None:
    def too_many() -> None:
        with ScriptedModel(says("One.")) as model:
            ask(http, model, "chat")
            assert ask(http, model, "chat").status_code == 400

    def elsewhere() -> None:
        with ScriptedModel() as model:
            assert http.post(f"{model.url}/v1/embeddings", json={}).status_code == 404

    def failing() -> None:
        with ScriptedModel(wrong) as model, pytest.raises(httpx.TransportError):
            ask(http, model, "chat")

    with pytest.raises(AssertionError, match="request 2 came after the last turn"):
        too_many()
    with pytest.raises(AssertionError, match="POST /v1/embeddings is no request to a model"):
        elsewhere()
    with pytest.raises(AssertionError, match="no such result"):
        failing()


PROVIDER_PATHS = {"chat": "/groq/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


@pytest.mark.parametrize("wire", WIRES)
def test_behind_the_real_gateway(gateway: GatewayProcess, upstream_listener: socket.socket, wire: str) -> None:
    """Below a provider's base path too: Groq's is `/openai/v1`."""
    turns: list[Reply] = [uses(tool_call("ls", path=".")), HttpError(429, "slow down", retry_after=3), says("Done.")]
    url = gateway.url + PROVIDER_PATHS[wire]
    with ScriptedModel(*turns, listener=upstream_listener.dup()) as model, httpx.Client() as client:
        client.headers["authorization"] = f"Bearer {VIRTUAL_KEY}"
        first, second, third = (client.post(url, json=ASKED) for _ in turns)
    assert "call_scripted_1_1" in first.text
    assert (second.status_code, second.headers["retry-after"]) == (429, "3")
    assert "Done." in third.text
    assert [call.wire for call in model.asked] == [wire] * 3
