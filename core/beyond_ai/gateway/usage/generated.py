"""What an answer shows of the text that was generated, and a number of tokens that it has at least.

Two counts stand below the tokens of a text, whatever the tokenizer, and the greater is taken:

- Its words. Every published tokenizer in use cuts a text at its white space first, so that no token holds the end of
  one word and the beginning of the next; of those that are not published, the recorded answers say nothing else.
- Its pieces: no provider sends a token before it has one. That fails where tokens are cut again on their way, as
  Anthropic does with the arguments of tools (`"San F`, `ra`, `ncisco,`): those count in words alone. And it is not
  exact: DeepSeek once sent 699 pieces for 698 tokens, so that a sixteenth is left off.

Reasoning counts in pieces alone: what is shown may be a summary, with more words than the tokens that are billed
(Gemini's by OpenRouter: 31 for 25), or hold what a search found (Groq's compound models). Where its type says that it
is a summary (OpenAI, xAI) it does not count at all: it came in 75 pieces for no reasoning token. What providers add
themselves, results of server tools, citations, images, is not read.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from beyond_ai.gateway.usage.wire import Wire

Event = Mapping[str, object]

_WORD_END: Final = re.compile(r"(?<!\\)[A-Za-z] ")
r"""Within JSON a letter before a space: the spaces around its punctuation may be the provider's, and `\n ` is none."""

_TEXT_EVENTS: Final = frozenset(("response.output_text.delta", "response.refusal.delta"))
_REASONING_EVENTS: Final = frozenset(("response.reasoning_text.delta",))
_ARGUMENT_EVENTS: Final = frozenset(
    (
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
        "response.apply_patch_call_operation_diff.delta",
        "response.shell_call_command.delta",
    )
)
"""Not `response.shell_call_output_content.delta`, which the model did not write."""


class Generated:
    """The generated text of consecutive events, or of one body."""

    __slots__ = ("_argument_pieces", "_arguments", "_reasoning_pieces", "_text_pieces", "_texts")

    def __init__(self) -> None:
        self._texts: dict[object, list[str]] = {}
        self._arguments: dict[object, list[str]] = {}
        self._text_pieces = self._argument_pieces = self._reasoning_pieces = 0

    def text(self, key: object, piece: object) -> None:
        """Take the next PIECE of the text that KEY tells from others."""
        if isinstance(piece, str) and piece:
            self._texts.setdefault(key, []).append(piece)
            self._text_pieces += 1

    def arguments(self, key: object, piece: object, *, whole_tokens: bool = True) -> None:
        """Take the next PIECE of a tool's arguments; WHOLE_TOKENS is whether none is cut at its borders."""
        if isinstance(piece, str) and piece:
            self._arguments.setdefault(key, []).append(piece)
            self._argument_pieces += whole_tokens

    def reasoning(self, piece: object) -> None:
        """Take the next PIECE of reasoning."""
        if isinstance(piece, str) and piece:
            self._reasoning_pieces += 1

    @property
    def tokens(self) -> int:
        """How many tokens were generated, at least."""
        words = sum(_words("".join(pieces)) for pieces in self._texts.values())
        words_in_arguments = sum(len(_WORD_END.findall("".join(pieces))) for pieces in self._arguments.values())
        return (
            _tokens_of(self._reasoning_pieces)
            + max(_tokens_of(self._text_pieces), words)
            + max(_tokens_of(self._argument_pieces), words_in_arguments)
        )

    @property
    def keys(self) -> set[object]:
        """The keys of what counts in words alone or in both: of texts, and of tools' arguments."""
        return {*self._texts, *self._arguments}


def _words(text: str) -> int:
    """The words of TEXT that follow white space: what is before may have begun in text that is not there."""
    return len(text.split()) - (not text[0].isspace())


def _tokens_of(pieces: int) -> int:
    return max(pieces - -(-pieces // 16), 1) if pieces else 0


def read_event(wire: Wire) -> Callable[[Event, Generated], None] | None:
    """What reads an event of WIRE into a `Generated`; None where nothing is streamed."""
    return _EVENT_READERS.get(wire)


def read_body(wire: Wire, body: Event, generated: Generated) -> None:
    """Read what BODY, an answer of WIRE that may be its beginning only, shows of generated text into GENERATED."""
    if wire is Wire.MESSAGES:
        for index, block in enumerate(_objects(body.get("content"))):
            generated.text(index, block.get("text"))
            generated.reasoning(block.get("thinking"))
    elif wire is Wire.RESPONSES:
        for index, item in enumerate(_objects(body.get("output"))):
            if item.get("type") in ("function_call", "custom_tool_call"):
                generated.arguments(index, item.get("arguments") or item.get("input"))
            elif item.get("type") == "message" and item.get("role") == "assistant":
                for part in _objects(item.get("content")):
                    generated.text(index, part.get("text"))
    elif wire is Wire.COMPLETIONS:
        _read_completion(body, generated)
    elif wire is Wire.CHAT:
        _read_choices(body, "message", generated)


def _read_chunk(event: Event, generated: Generated) -> None:
    _read_choices(event, "delta", generated)


def _read_choices(event: Event, name: str, generated: Generated) -> None:
    for place, choice in enumerate(_objects(event.get("choices"))):
        message = choice.get(name)
        if not isinstance(message, dict):
            continue
        key = _index(choice, place)
        content = message.get("content")
        if isinstance(content, list):
            _read_parts(key, content, generated)
        elif content:
            generated.text(key, content)
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if reasoning and not _is_summary(message):
            generated.reasoning(reasoning)
        if message.get("refusal"):
            generated.text(key, message["refusal"])
        if message.get("tool_calls"):
            _read_tool_calls(key, message["tool_calls"], generated)


def _read_parts(key: object, content: object, generated: Generated) -> None:
    """Read a CONTENT of parts, as Mistral's reasoning models have it."""
    for part in _objects(content):
        if part.get("type") == "text":
            generated.text(key, part.get("text"))
        elif part.get("type") == "thinking":
            for thought in _objects(part.get("thinking")):
                generated.reasoning(thought.get("text"))


def _read_tool_calls(key: object, calls: object, generated: Generated) -> None:
    for place, call in enumerate(_objects(calls)):
        function = call.get("function")
        if isinstance(function, dict):
            generated.arguments((key, _index(call, place)), function.get("arguments"))


def _is_summary(message: Event) -> bool:
    """Whether the reasoning of MESSAGE is none of what was generated; OpenRouter says so."""
    return any(detail.get("type") == "reasoning.summary" for detail in _objects(message.get("reasoning_details")))


def _read_completion(event: Event, generated: Generated) -> None:
    """With `echo` the text begins with the prompt: it must be counted as the request's body is, by its rule alone."""
    for place, choice in enumerate(_objects(event.get("choices"))):
        generated.arguments(_index(choice, place), choice.get("text"), whole_tokens=False)


def _read_message_event(event: Event, generated: Generated) -> None:
    delta = event.get("delta")
    if event.get("type") != "content_block_delta" or not isinstance(delta, dict):
        return
    kind = delta.get("type")
    if kind == "text_delta":
        generated.text(_index(event, 0), delta.get("text"))
    elif kind == "input_json_delta":
        generated.arguments(_index(event, 0), delta.get("partial_json"), whole_tokens=False)
    elif kind == "thinking_delta":
        generated.reasoning(delta.get("thinking"))


def _read_response_event(event: Event, generated: Generated) -> None:
    kind = event.get("type")
    if not isinstance(kind, str):
        return
    if kind in _TEXT_EVENTS:
        generated.text(_item(event), event.get("delta"))
    elif kind in _ARGUMENT_EVENTS:
        generated.arguments(_item(event), event.get("delta"))
    elif kind in _REASONING_EVENTS:
        generated.reasoning(event.get("delta"))


def _objects(values: object) -> list[dict[str, object]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _index(value: Event, otherwise: int) -> int:
    index = value.get("index")
    return index if isinstance(index, int) else otherwise


def _item(event: Event) -> int:
    index = event.get("output_index")
    return index if isinstance(index, int) else 0


_EVENT_READERS: Final[Mapping[Wire, Callable[[Event, Generated], None]]] = {
    Wire.CHAT: _read_chunk,
    Wire.COMPLETIONS: _read_completion,
    Wire.MESSAGES: _read_message_event,
    Wire.RESPONSES: _read_response_event,
}
