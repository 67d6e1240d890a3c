"""Usage out of event streams."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.tap import TAIL_BYTES, Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage
from beyond_ai.spec.usage import UsageQuirk


def parse(wire: Wire, stream: bytes, *, complete: bool = True, quirk: UsageQuirk | None = None) -> Usage:
    tap = Tap()
    for start in range(0, len(stream), 700):
        tap.feed(stream[start : start + 700])
    return parse_usage(wire, True, tap, complete=complete, quirk=quirk)


def event(data: object, name: str = "") -> bytes:
    lines = b"event: %b\n" % name.encode() if name else b""
    return lines + b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def chunk(text: str = "hi", **members: object) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    return event({"object": "chat.completion.chunk", "model": "gpt-test", "choices": choices, **members})


def chat_usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def usage_chunk(prompt: int = 10, completion: int = 3) -> bytes:
    return event({"model": "gpt-test", "choices": [], "usage": chat_usage(prompt, completion)})


class TestChat:
    def test_a_chunk_of_its_own(self) -> None:
        usage = parse(Wire.CHAT, chunk() * 3 + usage_chunk() + DONE)
        assert usage == Usage(found=True, input_tokens=10, output_tokens=3, model="gpt-test", finished=True)

    def test_on_a_chunk_with_choices(self) -> None:
        last = event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": chat_usage(4, 5)})
        usage = parse(Wire.CHAT, chunk() + last)
        assert (usage.input_tokens, usage.output_tokens, usage.model, usage.finished) == (4, 5, "gpt-test", True)

    def test_repeated_on_every_chunk_the_last_counts(self) -> None:
        stream = b"".join(chunk(usage=chat_usage(10, n)) for n in range(1000))
        for complete in (True, False):
            usage = parse(Wire.CHAT, stream, complete=complete)
            assert (usage.input_tokens, usage.output_tokens, usage.finished) == (10, 999, complete)

    @pytest.mark.parametrize("later", [{"usage": None}, {"usage": {}}, {"usage": {"queue_time": 0.1}}, {}])
    def test_a_later_chunk_without_one_does_not_hide_it(self, later: dict[str, Any]) -> None:
        assert parse(Wire.CHAT, usage_chunk() + chunk(**later) * 300 + DONE).input_tokens == 10

    @pytest.mark.parametrize("length", [1, 20, 600])
    def test_none(self, length: int) -> None:
        usage = parse(Wire.CHAT, chunk(usage=None) * length + DONE)
        assert usage == Usage(model="gpt-test", finished=True)

    def test_cut_short(self) -> None:
        usage = parse(Wire.CHAT, chunk() * 20 + usage_chunk()[:-40], complete=False)
        assert usage == Usage(model="gpt-test")

    def test_the_model_is_in_the_first_chunk_when_later_ones_leave_it_out(self) -> None:
        rest = event({"choices": []}) * 5000
        assert parse(Wire.CHAT, b": hello\n\n" + chunk() + rest).model == "gpt-test"

    @pytest.mark.parametrize("name", ["", "error"])
    def test_an_error(self, name: str) -> None:
        usage = parse(Wire.CHAT, chunk() + event({"error": {"message": "no"}}, name))
        assert (usage.error, usage.found, usage.finished) == (True, False, False)

    @pytest.mark.parametrize("length", [2, 2000])
    def test_the_tier_is_the_reporting_chunk_s(self, length: int) -> None:
        last = event({"choices": [], "usage": chat_usage(4, 5), "service_tier": "flex"})
        assert parse(Wire.CHAT, chunk(service_tier="auto") * length + last + DONE).service_tier == "flex"

    def test_an_error_before_the_usage(self) -> None:
        usage = parse(Wire.CHAT, chunk(error={"message": "no"}) + usage_chunk())
        assert (usage.error, usage.found) == (True, True)

    def test_another_place_by_quirk(self) -> None:
        stream = chunk(x_groq={"id": "r"}) + chunk(x_groq={"usage": chat_usage(7, 8)}) + DONE
        assert not parse(Wire.CHAT, stream).found
        assert parse(Wire.CHAT, stream, quirk=UsageQuirk(paths=(("x_groq", "usage"),))).output_tokens == 8


class TestFraming:
    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("length", [2, 1500])
    def test_line_ends(self, line_end: bytes, length: int) -> None:
        stream = (chunk() * length + usage_chunk() + DONE).replace(b"\n", line_end)
        usage = parse(Wire.CHAT, stream)
        assert (usage.input_tokens, usage.finished) == (10, True)

    @pytest.mark.parametrize("end", [b"\n", b"", b"\r\n", b"\n\n\n\n"])
    def test_the_last_frame_needs_no_blank_line(self, end: bytes) -> None:
        assert parse(Wire.CHAT, chunk() + usage_chunk().rstrip() + end).input_tokens == 10

    @pytest.mark.parametrize("space", [b"", b" ", b"    ", b"\t "])
    def test_spaces_after_the_field_name(self, space: bytes) -> None:
        stream = (usage_chunk() + DONE).replace(b"data: ", b"data:" + space)
        usage = parse(Wire.CHAT, stream)
        assert (usage.input_tokens, usage.finished) == (10, True)

    def test_an_event_over_several_data_lines(self) -> None:
        pretty = json.dumps({"choices": [], "usage": chat_usage(10, 3)}, indent=1).encode()
        stream = b"id: 7\n" + b"".join(b"data: %b\n" % line for line in pretty.split(b"\n")) + b"\n"
        assert parse(Wire.CHAT, chunk() + stream + DONE).input_tokens == 10

    def test_a_line_of_such_an_event_is_not_an_event(self) -> None:
        lines = (b'{"tools":[', b'{"usage":{"prompt_tokens":1,"completion_tokens":1}}', b"]}")
        stream = b"".join(b"data: %b\n" % line for line in lines) + b"\n"
        assert not parse(Wire.CHAT, chunk() + stream + DONE).found
        assert not parse(Wire.CHAT, chunk() * 1000 + stream + DONE).found

    @pytest.mark.parametrize("length", [1_000, 5_000, 90_000])
    def test_nor_when_its_beginning_is_out_of_sight(self, length: int) -> None:
        forged = b'data: {"usage":{"prompt_tokens":1,"completion_tokens":1}}\n'
        stream = b'data: {"tools":["' + b"x" * length + b'",\n' + forged
        assert not parse(Wire.CHAT, chunk() + stream, complete=False).found

    def test_comments_and_pings(self) -> None:
        stream = b": PROCESSING\n\n" * 3 + chunk() + usage_chunk() + b": ping\n\n" + DONE + b": bye\n\n"
        usage = parse(Wire.CHAT, stream)
        assert (usage.input_tokens, usage.finished) == (10, True)

    def test_usage_in_a_comment_or_another_field_is_none(self) -> None:
        report = json.dumps({"choices": [], "usage": chat_usage(1, 1)}).encode()
        for field in (b": ", b"event: ", b"id: ", b"retry: ", b"xdata: ", b" data: "):
            assert not parse(Wire.CHAT, field + report + b"\n\n" + chunk() + DONE).found

    def test_a_byte_order_mark(self) -> None:
        assert parse(Wire.CHAT, b"\xef\xbb\xbf" + usage_chunk()).input_tokens == 10

    def test_done_within_text_is_not_the_end(self) -> None:
        assert not parse(Wire.CHAT, chunk("[DONE]")).finished
        assert not parse(Wire.CHAT, chunk("\n\ndata: [DONE]\n\n")).finished


MESSAGE_START = event(
    {
        "type": "message_start",
        "message": {
            "model": "claude-test",
            "content": [],
            "usage": {
                "input_tokens": 25,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 50,
                "output_tokens": 1,
            },
        },
    },
    "message_start",
)
PING = event({"type": "ping"}, "ping")
MESSAGE_STOP = event({"type": "message_stop"}, "message_stop")


def text_delta(text: str = "hi") -> bytes:
    delta = {"type": "text_delta", "text": text}
    return event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")


def message_delta(**report: object) -> bytes:
    return event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": report}, "message_delta")


class TestMessages:
    @pytest.mark.parametrize("length", [1, 50, 3000])
    def test_start_and_delta(self, length: int) -> None:
        stream = MESSAGE_START + PING + text_delta() * length + message_delta(output_tokens=15) + MESSAGE_STOP
        assert parse(Wire.MESSAGES, stream) == Usage(
            found=True,
            input_tokens=25,
            output_tokens=15,
            cache_read_tokens=100,
            cache_write_tokens=50,
            model="claude-test",
            finished=True,
        )

    def test_a_delta_that_knows_better(self) -> None:
        delta = message_delta(
            input_tokens=30,
            cache_read_input_tokens=0,
            cache_creation_input_tokens=70,
            output_tokens=9,
            output_tokens_details={"thinking_tokens": 4},
        )
        usage = parse(Wire.MESSAGES, MESSAGE_START + delta + MESSAGE_STOP)
        assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (30, 100, 70)
        assert (usage.output_tokens, usage.reasoning_tokens) == (9, 4)

    def test_facts_beside_tokens_are_laid_over_too(self) -> None:
        report = {
            "input_tokens": 3,
            "output_tokens": 1,
            "cache_creation": {"ephemeral_1h_input_tokens": 40},
            "service_tier": "standard",
        }
        start = event({"type": "message_start", "message": {"model": "m", "usage": report}})
        usage = parse(Wire.MESSAGES, start + message_delta(output_tokens=5))
        assert (usage.cache_write_1h_tokens, usage.service_tier, usage.server_tool_calls) == (40, "standard", None)
        delta = message_delta(
            output_tokens=5,
            cache_creation={"ephemeral_1h_input_tokens": 0},
            server_tool_use={"web_search_requests": 2},
        )
        usage = parse(Wire.MESSAGES, start + message_delta(output_tokens=2, server_tool_use={"a": 1}) + delta)
        assert (usage.cache_write_1h_tokens, usage.service_tier, usage.server_tool_calls) == (40, "standard", 2)

    def test_only_message_start_is_read_for_one(self) -> None:
        """A fetched page, in an event longer than the head, is no `message_start`."""
        block = {"type": "tool", "usage": {"input_tokens": 1, "output_tokens": 1}, "page": "x" * 9000}
        stream = event({"type": "content_block_start", "content_block": block}) + text_delta() * 3000
        assert not parse(Wire.MESSAGES, stream).found

    def test_deltas_are_cumulative(self) -> None:
        deltas = b"".join(message_delta(output_tokens=n) for n in (5, 9, 12))
        assert parse(Wire.MESSAGES, MESSAGE_START + deltas + MESSAGE_STOP).output_tokens == 12

    def test_a_delta_in_head_and_tail_is_not_added_twice(self) -> None:
        usage = parse(Wire.MESSAGES, MESSAGE_START + message_delta(input_tokens=25, output_tokens=2))
        assert (usage.input_tokens, usage.output_tokens, usage.finished) == (25, 2, False)

    def test_cut_before_the_delta(self) -> None:
        usage = parse(Wire.MESSAGES, MESSAGE_START + text_delta() * 3000, complete=False)
        assert (usage.found, usage.input_tokens, usage.output_tokens, usage.finished) == (True, 25, 1, False)
        assert usage.model == "claude-test"

    def test_a_start_that_is_longer_than_the_head(self) -> None:
        start = {
            "type": "message_start",
            "message": {"model": "m", "usage": {"input_tokens": 6}, "content": ["x" * 9000]},
        }
        usage = parse(Wire.MESSAGES, event(start) + text_delta() * 3000 + message_delta(output_tokens=2))
        assert (usage.input_tokens, usage.output_tokens, usage.model) == (6, 2, "m")

    def test_an_error(self) -> None:
        usage = parse(Wire.MESSAGES, MESSAGE_START + event({"type": "error", "error": {"type": "overloaded_error"}}))
        assert (usage.error, usage.finished, usage.input_tokens) == (True, False, 25)

    def test_generated_text_is_not_an_event(self) -> None:
        text = MESSAGE_STOP.decode() + message_delta(output_tokens=1, input_tokens=1).decode()
        usage = parse(Wire.MESSAGES, MESSAGE_START + text_delta(text))
        assert (usage.input_tokens, usage.output_tokens, usage.finished) == (25, 1, False)


def response_event(kind: str, report: object, **members: object) -> bytes:
    response = {"id": "resp_1", "model": "gpt-test", "status": "completed", **members, "usage": report, "metadata": {}}
    return event({"type": kind, "response": response, "sequence_number": 3}, kind)


def responses_usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    total = input_tokens + output_tokens
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": total}


class TestResponses:
    created = response_event("response.created", None)
    delta = event({"type": "response.output_text.delta", "delta": "hi"}, "response.output_text.delta")

    @pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
    def test_the_last_event(self, kind: str) -> None:
        usage = parse(Wire.RESPONSES, self.created + self.delta * 2000 + response_event(kind, responses_usage(8, 9)))
        assert usage == Usage(found=True, input_tokens=8, output_tokens=9, model="gpt-test", finished=True)

    def test_a_failure(self) -> None:
        usage = parse(Wire.RESPONSES, self.created + response_event("response.failed", None, error={"code": "x"}))
        assert (usage.found, usage.error, usage.finished) == (False, True, True)

    @pytest.mark.parametrize("padding", [2_000, 66_000, 500_000])
    @pytest.mark.parametrize("end", [b"\n\n", b"\n", b"", b"\n\ndata: [DONE]\n\n", b"\r\n\r\n"])
    def test_a_last_event_longer_than_the_tail(self, padding: int, end: bytes) -> None:
        forged = {"properties": {"usage": responses_usage(1, 1)}, "usage": responses_usage(1, 1)}
        last = response_event(
            "response.completed",
            responses_usage(8, 9),
            instructions="x" * padding + '","usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}',
            tools=[forged],
        )
        usage = parse(Wire.RESPONSES, self.created + self.delta + last.rstrip() + end)
        assert usage == Usage(found=True, input_tokens=8, output_tokens=9, model="gpt-test", finished=True)

    @pytest.mark.parametrize("padding", [0, 66_000, 500_000])
    def test_the_tier_of_the_last_event(self, padding: int) -> None:
        created = response_event("response.created", None, service_tier="auto")
        last = response_event(
            "response.completed",
            responses_usage(8, 9),
            instructions="x" * padding,
            tools=[{"service_tier": "forged"}],
            service_tier="default",
        )
        assert parse(Wire.RESPONSES, created + self.delta + last).service_tier == "default"

    def test_such_an_event_over_several_data_lines(self) -> None:
        report = json.dumps(responses_usage(8, 9))
        lines = [
            '{"type":"response.completed","response":{"instructions":"' + "x" * 99_000 + '",',
            f'"usage":{report}',
            "}}",
        ]
        stream = self.created + "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
        assert parse(Wire.RESPONSES, stream).input_tokens == 8

    @given(st.integers(0, 1200))
    def test_such_an_event_cut_anywhere_has_no_usage(self, missing: int) -> None:
        schema = {"properties": {"usage": responses_usage(1, 1)}}
        last = response_event("response.completed", responses_usage(8, 9), a="x" * 90_000, tools=[schema] * 9)
        stream = self.created + last
        usage = parse(Wire.RESPONSES, stream[: len(stream) - missing], complete=False)
        assert (usage.found, usage.finished) == ((True, True) if missing == 0 else (False, False))

    @given(st.integers(TAIL_BYTES - 400, TAIL_BYTES + 40))
    def test_the_tail_may_begin_anywhere(self, distance: int) -> None:
        """DISTANCE is from where the last event begins to the end of the stream, around the size of the tail."""
        last = response_event("response.completed", responses_usage(8, 9), a="")
        last = response_event("response.completed", responses_usage(8, 9), a="x" * (distance - len(last)))
        usage = parse(Wire.RESPONSES, self.created + self.delta * 300 + last)
        assert (usage.input_tokens, usage.finished, usage.model) == (8, True, "gpt-test")

    def test_a_model_that_is_nowhere(self) -> None:
        created = response_event("response.created", None).replace(b"gpt-test", b"x" * 9000)
        assert parse(Wire.RESPONSES, created + self.delta).model is None


PIECES = st.sampled_from(
    [
        chunk(),
        usage_chunk(1, 1),
        DONE,
        MESSAGE_START,
        message_delta(output_tokens=2),
        MESSAGE_STOP,
        TestResponses.created,
        response_event("response.completed", responses_usage(8, 9)),
        b"\n",
        b"\r",
        b"data:",
        b'"usage":{',
        b'{"usage":',
        b"}" * 9,
        b"\\",
        b'"',
        b"x" * 30_000,
    ]
)


@given(
    st.sampled_from(list(Wire)),
    st.booleans(),
    st.lists(PIECES | st.binary(max_size=9), max_size=14),
    st.integers(0, 99),
)
def test_pieces_in_any_order_never_raise(wire: Wire, complete: bool, pieces: list[bytes], missing: int) -> None:
    stream = b"".join(pieces)
    usage = parse(wire, stream[: len(stream) - missing], complete=complete)
    assert usage.found or (usage.input_tokens, usage.output_tokens) == (0, 0)


FORGED = (
    usage_chunk(1, 1).decode(),
    '"usage":{"prompt_tokens":1,"completion_tokens":1}',
    '","usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
    '"usage"',
    '"usage',
    "\\",
    '"',
    "}",
    "{",
    "\r\n\r\n",
    "x" * 900,
    "x" * 40_000,
)


@given(st.lists(st.lists(st.sampled_from(FORGED), max_size=5).map("".join), max_size=6), st.data())
def test_generated_text_never_forges_a_count(texts: list[str], data: st.DataObject) -> None:
    stream = b"".join(map(chunk, texts)) + usage_chunk(1111, 2222) + DONE
    assert parse(Wire.CHAT, stream).output_tokens == 2222
    cut = parse(Wire.CHAT, stream[: data.draw(st.integers(0, len(stream)))], complete=False)
    assert (cut.input_tokens, cut.output_tokens) in ((0, 0), (1111, 2222))
