"""What echo says on each wire, checked against the stock SDKs' own models (strictly: every required member)."""

import array
import base64
import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from beyond_ai_providers.echo.reply import Call, Reply
from beyond_ai_providers.echo.service import serve
from beyond_ai_providers.echo.tokens import count

Body = dict[str, Any]

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
WIRES = [CHAT, RESPONSES, MESSAGES]


def ask(
    path: str,
    body: object,
    *,
    method: str = "POST",
    headers: Mapping[bytes, bytes] | None = None,
    limit: int = 4096,
) -> Reply:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    call = Call(body=raw, id="0123456789abcdef", time=1_700_000_000, limit=limit)
    return serve(method, path, list((headers or {}).items()), call)


def whole(reply: Reply) -> Body:
    """The JSON of a reply that is not a stream, its framing checked."""
    body = b"".join(reply.pieces)
    headers = dict(reply.headers)
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == b"%d" % len(body)
    loaded = orjson.loads(body)
    assert isinstance(loaded, dict)
    return loaded


def events(reply: Reply) -> list[Body]:
    """The data of each event of a stream, its framing checked; `[DONE]` must be last where the wire has it."""
    assert reply.status == 200
    headers = dict(reply.headers)
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers
    found = []
    done = False
    for piece in reply.pieces:
        assert piece.endswith(b"\n\n")
        assert not done
        *names, data = piece.decode().strip().split("\n")
        if data == "data: [DONE]":
            done = True
            continue
        found.append(json.loads(data.removeprefix("data: ")))
        assert names in ([], [f"event: {found[-1].get('type')}"])
    assert done is (b"x-request-id" in headers and "choices" in found[0])
    return found


def asking(path: str, text: str, **more: object) -> Body:
    """A request with one user message on the wire of PATH."""
    if path == RESPONSES:
        return {"model": "m-1", "input": text, **more}
    extra = {"max_tokens": 4096} if path == MESSAGES else {}
    return {"model": "m-1", "messages": [{"role": "user", "content": text}], **extra, **more}


def tool(path: str, name: str, schema: Body | None = None) -> Body:
    """A tool on the wire of PATH."""
    schema = schema or {"type": "object", "properties": {}}
    if path == MESSAGES:
        return {"name": name, "description": "d", "input_schema": schema}
    if path == RESPONSES:
        return {"type": "function", "name": name, "parameters": schema, "strict": False}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}


def said(path: str, body: Body) -> tuple[str, Body | None, str, tuple[int, int]]:
    """Text, tool call (name and arguments), why it ended, and usage (in, out) of a whole answer."""
    if path == CHAT:
        chat = ChatCompletion.model_validate(body)
        [choice] = chat.choices
        assert chat.usage
        assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens
        call = None
        if choice.message.tool_calls:
            [used] = choice.message.tool_calls
            assert used.type == "function"
            call = {"name": used.function.name, "arguments": json.loads(used.function.arguments)}
        usage = (chat.usage.prompt_tokens, chat.usage.completion_tokens)
        return choice.message.content or "", call, choice.finish_reason, usage
    if path == RESPONSES:
        response = Response.model_validate(body)
        [item] = response.output
        assert response.usage
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
        call = None
        if item.type == "function_call":
            call = {"name": item.name, "arguments": json.loads(item.arguments)}
        else:
            assert item.type == "message"
        return (
            response.output_text,
            call,
            str(response.status),
            (response.usage.input_tokens, response.usage.output_tokens),
        )
    message = Message.model_validate(body)
    [block] = message.content
    usage = (message.usage.input_tokens, message.usage.output_tokens)
    if block.type == "tool_use":
        return "", {"name": block.name, "arguments": block.input}, str(message.stop_reason), usage
    assert block.type == "text"
    return block.text, None, str(message.stop_reason), usage


def streamed(path: str, reply: Reply) -> Body:
    """The whole answer that a stream adds up to, each event checked."""
    return {CHAT: chat_streamed, RESPONSES: responses_streamed, MESSAGES: messages_streamed}[path](events(reply))


def chat_streamed(found: list[Body]) -> Body:
    chunks = [ChatCompletionChunk.model_validate(event) for event in found]
    *middle, last = chunks
    assert last.choices == []
    assert last.usage
    assert all(chunk.usage is None for chunk in middle)
    assert middle[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in chunks} == {last.id}
    finish = [chunk.choices[0].finish_reason for chunk in middle]
    assert all(reason is None for reason in finish[:-1])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in middle)
    message: Body = {"role": "assistant", "content": text}
    called = [call for chunk in middle for call in chunk.choices[0].delta.tool_calls or ()]
    if called:
        assert called[0].function
        arguments = "".join((call.function.arguments or "") for call in called if call.function)
        function = {"name": called[0].function.name, "arguments": arguments}
        message["tool_calls"] = [{"id": called[0].id, "type": "function", "function": function}]
    return {
        "id": last.id,
        "object": "chat.completion",
        "created": last.created,
        "model": last.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish[-1]}],
        "usage": last.usage.model_dump(),
    }


def responses_streamed(found: list[Body]) -> Body:
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    parsed = [adapter.validate_python(event) for event in found]
    assert [event.sequence_number for event in parsed] == list(range(len(parsed)))
    kinds = [event.type for event in parsed]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-2] == "response.output_item.done"
    last: Body = found[-1]["response"]
    assert found[-2]["item"] == last["output"][0]
    deltas = "".join(event["delta"] for event in found if event["type"].endswith(".delta"))
    if last["output"][0]["type"] == "function_call":
        assert deltas == last["output"][0]["arguments"]
        assert kinds[-3] == "response.function_call_arguments.done"
    else:
        assert deltas == last["output"][0]["content"][0]["text"]
        assert kinds[3] == "response.content_part.added"
        assert kinds[-4:-2] == ["response.output_text.done", "response.content_part.done"]
    return last


def messages_streamed(found: list[Body]) -> Body:
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    kinds = [event["type"] for event in found]
    for event in found:
        if event["type"] != "ping":
            adapter.validate_python(event)
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[3:-3]) <= {"content_block_delta"}
    message: Body = {**found[0]["message"]}
    block = {**found[1]["content_block"]}
    deltas = [event["delta"] for event in found if event["type"] == "content_block_delta"]
    if block["type"] == "text":
        block["text"] = "".join(delta["text"] for delta in deltas)
    else:
        block["input"] = json.loads("".join(delta["partial_json"] for delta in deltas))
    end = found[-2]
    return {
        **message,
        "content": [block],
        **end["delta"],
        "usage": {**message["usage"], **end["usage"]},
    }


def both_ways(path: str, body: Body, limit: int = 4096) -> tuple[str, Body | None, str, tuple[int, int]]:
    """The answer to BODY, after checking that it is the same streamed and not."""
    plain = said(path, whole(ask(path, body, limit=limit)))
    stream = {**body, "stream": True}
    if path == CHAT:
        stream["stream_options"] = {"include_usage": True}
    assert said(path, streamed(path, ask(path, stream, limit=limit))) == plain
    return plain


STOP = {CHAT: "stop", RESPONSES: "completed", MESSAGES: "end_turn"}
CALLED = {CHAT: "tool_calls", RESPONSES: "completed", MESSAGES: "tool_use"}
CUT = {CHAT: "length", RESPONSES: "incomplete", MESSAGES: "max_tokens"}


@pytest.mark.parametrize("path", WIRES)
def test_echoes_the_user_with_the_same_usage_streamed_or_not(path: str) -> None:
    text, call, finish, usage = both_ways(path, asking(path, "Hello, you there!"))
    assert text == "You said: Hello, you there!"
    assert (call, finish) == (None, STOP[path])
    assert usage == (count("Hello, you there!"), count(text)) == (5, 8)


@pytest.mark.parametrize("path", WIRES)
@pytest.mark.parametrize("prefix", ["", "/inference/v1", "/openai/v1"])
def test_the_path_may_stand_under_any_mount(path: str, prefix: str) -> None:
    reply = ask(f"{prefix}{path}?beta=true", asking(path, "hi"))
    assert said(path, whole(reply))[0] == "You said: hi"


@pytest.mark.parametrize("path", WIRES)
def test_the_requested_model_answers(path: str) -> None:
    body = asking(path, "hi", model="vendor/Some-Model:1")
    assert whole(ask(path, body))["model"] == "vendor/Some-Model:1"
    assert streamed(path, ask(path, {**body, "stream": True, "stream_options": {"include_usage": True}}))["model"] == (
        "vendor/Some-Model:1"
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(min_size=1), st.sampled_from(WIRES))
def test_any_text_comes_back_as_it_was(text: str, path: str) -> None:
    answer, _, _, (read, written) = both_ways(path, asking(path, text))
    assert answer == f"You said: {text}"
    assert (read, written) == (count(text), count(answer))


@pytest.mark.parametrize("path", WIRES)
def test_system_prompt_history_and_tools_are_read_but_the_last_user_message_is_echoed(path: str) -> None:
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    if path == RESPONSES:
        body: Body = {"model": "m", "instructions": "be kind", "input": turns}
    elif path == MESSAGES:
        body = {"model": "m", "max_tokens": 99, "system": "be kind", "messages": turns}
    else:
        body = {"model": "m", "messages": [{"role": "system", "content": "be kind"}, *turns]}
    text, _, _, (read, _) = both_ways(path, body)
    assert text == "You said: three"
    assert read == 5
    refused = {"tool_choice": {"type": "none"} if path == MESSAGES else "none"}
    _, _, _, (with_tool, _) = both_ways(path, {**body, "tools": [tool(path, "ls")], **refused})
    assert with_tool > read


def test_chat_reports_usage_in_a_stream_only_when_asked() -> None:
    found = events(ask(CHAT, asking(CHAT, "hi", stream=True)))
    assert all("usage" not in event for event in found)
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    found = events(ask(CHAT, asking(CHAT, "hi", stream=True, stream_options={"include_usage": False})))
    assert all("usage" not in event for event in found)


def test_a_stream_sends_a_token_an_event() -> None:
    found = events(ask(CHAT, asking(CHAT, "a b", stream=True)))
    contents = [event["choices"][0]["delta"].get("content") for event in found]
    assert contents == ["", "You", " said", ":", " a", " b", None]


@pytest.mark.parametrize("path", WIRES)
def test_content_in_parts_is_joined_and_what_is_not_text_is_passed_over(path: str) -> None:
    text_type = "input_text" if path == RESPONSES else "text"
    parts = [
        {"type": text_type, "text": "look"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": text_type, "text": "here"},
    ]
    key = "input" if path == RESPONSES else "messages"
    body = asking(path, "", **{key: [{"role": "user", "content": parts}]})
    text, _, _, (read, _) = both_ways(path, body)
    assert (text, read) == ("You said: look\nhere", 2)


LIMITS = {CHAT: "max_completion_tokens", RESPONSES: "max_output_tokens", MESSAGES: "max_tokens"}


@pytest.mark.parametrize("path", WIRES)
def test_output_limit_of_the_request_cuts_the_answer_and_says_so(path: str) -> None:
    text, _, finish, (_, written) = both_ways(path, asking(path, "a b c", **{LIMITS[path]: 4}))
    assert (text, finish, written) == ("You said: a", CUT[path], 4)
    text, _, finish, (_, written) = both_ways(path, asking(path, "a b c", **{LIMITS[path]: 6}))
    assert (text, finish, written) == ("You said: a b c", STOP[path], 6)


@pytest.mark.parametrize("path", WIRES)
def test_configured_limit_holds_for_every_answer(path: str) -> None:
    assert both_ways(path, asking(path, "a b c"), limit=3)[0] == "You said:"


READ_SCHEMA: Body = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "integer", "minimum": 1}, "all": {"type": "boolean"}},
    "required": ["path", "lines"],
}


@pytest.mark.parametrize("path", WIRES)
def test_offered_tools_are_answered_with_one_harmless_call(path: str) -> None:
    tools = [tool(path, name, READ_SCHEMA) for name in ("bash", "write_file", "frobnicate", "read_file", "delete")]
    text, call, finish, (_, written) = both_ways(path, asking(path, "go on", tools=tools))
    assert text == ""
    assert call == {"name": "read_file", "arguments": {"path": ".", "lines": 1}}
    assert finish == CALLED[path]
    assert written == count("read_file") + count('{"path":".","lines":1}')


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["read", "ls"], "ls"),
        (["frobnicate", "get_weather"], "get_weather"),
        (["mcp__files__listDirectory", "bash"], "mcp__files__listDirectory"),
        (["bash", "frobnicate"], "frobnicate"),
        (["list_and_delete", "frobnicate"], "frobnicate"),
        (["bash", "write", "edit", "exec_command", "run", "delete", "apply_patch", "Task", "deletefile"], None),
        (["KillShell", "TodoWrite", "NotebookEdit"], None),
        ([], None),
    ],
)
@pytest.mark.parametrize("path", WIRES)
def test_which_tool_is_called(path: str, names: list[str], called: str | None) -> None:
    _, call, finish, _ = both_ways(path, asking(path, "go", tools=[tool(path, name) for name in names]))
    assert (call or {}).get("name") == called
    assert finish == (CALLED if called else STOP)[path]


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ('/call bash {"command": "echo {1}"}', {"name": "bash", "arguments": {"command": "echo {1}"}}),
        (' /call bash\n{"command":\n"ls"}\n', {"name": "bash", "arguments": {"command": "ls"}}),
        ("/call read_file", {"name": "read_file", "arguments": {"path": ".", "lines": 1}}),
        ("please /call bash {}", {"name": "read_file", "arguments": {"path": ".", "lines": 1}}),
    ],
)
@pytest.mark.parametrize("path", WIRES)
def test_a_call_that_the_user_asks_for_is_made(path: str, words: str, called: Body) -> None:
    tools = [tool(path, "bash"), tool(path, "read_file", READ_SCHEMA)]
    text, call, finish, _ = both_ways(path, asking(path, words, tools=tools))
    assert (text, call, finish) == ("", called, CALLED[path])
    none: object = {"type": "none"} if path == MESSAGES else "none"
    assert both_ways(path, asking(path, words, tools=tools, tool_choice=none))[1] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("/call absent {}", "No tool is called absent. Offered are bash, read_file."),
        ("/call bash {'command': 1}", "What stands behind /call bash is no JSON object."),
        ("/call bash [1]", "What stands behind /call bash is no JSON object."),
    ],
)
@pytest.mark.parametrize("path", WIRES)
def test_a_call_that_cannot_be_made_is_told(path: str, words: str, said: str) -> None:
    tools = [tool(path, "bash"), tool(path, "read_file", READ_SCHEMA)]
    text, call, finish, _ = both_ways(path, asking(path, words, tools=tools))
    assert (text, call, finish) == (said, None, STOP[path])


@pytest.mark.parametrize("path", WIRES)
def test_tool_choice_none_and_a_named_tool_are_honoured(path: str) -> None:
    tools = [tool(path, "ls"), tool(path, "write")]
    none: object = {"type": "none"} if path == MESSAGES else "none"
    assert both_ways(path, asking(path, "go", tools=tools, tool_choice=none))[1] is None
    choices: dict[str, Body] = {
        CHAT: {"type": "function", "function": {"name": "write"}},
        RESPONSES: {"type": "function", "name": "write"},
        MESSAGES: {"type": "tool", "name": "write"},
    }
    _, call, _, _ = both_ways(path, asking(path, "go", tools=tools, tool_choice=choices[path]))
    assert call == {"name": "write", "arguments": {}}
    free: object = {"type": "any"} if path == MESSAGES else "required"
    _, call, _, _ = both_ways(path, asking(path, "go", tools=tools, tool_choice=free))
    assert call == {"name": "ls", "arguments": {}}


def with_result(path: str, result: str) -> Body:
    """A conversation in which a tool has just answered RESULT."""
    function = {"name": "ls", "arguments": "{}"}
    if path == CHAT:
        call: Body = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        }
        history = [{"role": "user", "content": "go"}, call, {"role": "tool", "tool_call_id": "c", "content": result}]
        return {"model": "m", "messages": history, "tools": [tool(path, "ls")]}
    if path == RESPONSES:
        items = [
            {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning", "id": "r", "summary": []},
            {"type": "function_call", "call_id": "c", **function},
            {"type": "function_call_output", "call_id": "c", "output": result},
        ]
        return {"model": "m", "input": items, "tools": [tool(path, "ls")]}
    use = {"type": "tool_use", "id": "c", "name": "ls", "input": {}}
    back = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": result}]}
    beside = {"type": "text", "text": "<system-reminder>tidy up</system-reminder>"}
    history = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [back, beside]},
    ]
    return {"model": "m", "max_tokens": 4096, "messages": history, "tools": [tool(path, "ls")]}


@pytest.mark.parametrize("path", WIRES)
def test_a_tool_result_is_answered_with_text_that_quotes_it(path: str) -> None:
    text, call, finish, _ = both_ways(path, with_result(path, "README.md core"))
    assert (text, call, finish) == ("The tool answered: README.md core", None, STOP[path])
    assert both_ways(path, with_result(path, ""))[0] == "The tool answered: nothing."
    long, *_ = both_ways(path, with_result(path, "word " * 500))
    assert long.endswith(" ...")
    assert count(long) < 70


@pytest.mark.parametrize("path", WIRES)
def test_a_new_question_after_a_result_is_a_new_turn(path: str) -> None:
    body = with_result(path, "README.md")
    body["input" if path == RESPONSES else "messages"].append({"role": "user", "content": "again"})
    assert both_ways(path, body)[1] == {"name": "ls", "arguments": {}}


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_answers_carry_a_request_id_as_their_provider_does(path: str) -> None:
    for body in (asking(path, "hi"), {}):
        headers = dict(ask(path, body).headers)
        ours, theirs = (b"request-id", b"x-request-id") if path == MESSAGES else (b"x-request-id", b"request-id")
        assert headers[ours].startswith(b"req_")
        assert theirs not in headers


@pytest.mark.parametrize(("path", "counter"), [(RESPONSES, "/input_tokens"), (MESSAGES, "/count_tokens")])
def test_counting_agrees_with_the_usage_of_the_answer(path: str, counter: str) -> None:
    body = asking(path, "Count, please.", tools=[tool(path, "ls", READ_SCHEMA)])
    counted = whole(ask(path + counter, body))
    if path == MESSAGES:
        MessageTokensCount.model_validate(counted)
        del body["max_tokens"]
        assert whole(ask(path + counter, body)) == counted
        body["max_tokens"] = 9
    assert counted["input_tokens"] == both_ways(path, body)[3][0]


def test_completions() -> None:
    body = {"model": "m", "prompt": "once upon"}
    plain = Completion.model_validate(whole(ask("/v1/completions", body)))
    assert (plain.choices[0].text, plain.choices[0].finish_reason) == ("You said: once upon", "stop")
    found = events(ask("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}}))
    chunks = [Completion.model_validate({**event, "choices": []}) for event in found]
    assert "".join(choice["text"] for event in found for choice in event["choices"]) == plain.choices[0].text
    assert chunks[-1].usage == plain.usage
    assert plain.usage
    assert (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (2, 5)
    assert ask("/v1/completions", {"model": "m"}).status == 400


def test_embeddings() -> None:
    body: Body = {"model": "m", "input": ["one", "two words", "one"], "dimensions": 8}
    plain = CreateEmbeddingResponse.model_validate(whole(ask("/v1/embeddings", body)))
    first, second, third = (item.embedding for item in plain.data)
    assert first == third != second
    assert len(first) == 8
    assert abs(sum(number * number for number in first) - 1) < 1e-6
    assert (plain.usage.prompt_tokens, plain.usage.total_tokens) == (4, 4)
    packed = whole(ask("/v1/embeddings", {**body, "encoding_format": "base64"}))
    assert list(array.array("f", base64.b64decode(packed["data"][0]["embedding"]))) == first
    assert ask("/v1/embeddings", {"model": "m", "input": []}).status == 400


def test_models_in_both_shapes() -> None:
    listed = whole(ask("/v1/models", b"", method="GET"))
    assert [Model.model_validate(model).id for model in listed["data"]] == ["echo"]
    listed = whole(ask("/v1/models", b"", method="GET", headers={b"Anthropic-Version": b"2023-06-01"}))
    assert [ModelInfo.model_validate(model).id for model in listed["data"]] == [listed["first_id"]]
    head = ask("/v1/models", b"", method="HEAD")
    assert int(dict(head.headers)[b"content-length"]) > 0
    assert list(head.pieces) == []
