"""Test kit: a scripted upstream and a scripted model, a client that hides nothing, and the real gateway between them.

    async def test_retry_after_reaches_the_client(gateway_config):
        async with ScriptedUpstream() as upstream:
            upstream.answer(chat.error(429, "slow down", headers=[(b"retry-after", b"7")]))
            ...

`chat`, `responses` and `messages` hold ready-made answers on the three wires; `ScriptedModel` plays a conversation.
`conformance`, which needs the extra `testing`, has a suite for each kind of plugin to subclass; the fixtures
`beyond_gateway`, `beyond_upstream`, `beyond_model` and `beyond_agent` (`pytest --fixtures`) are there wherever
beyond-ai is installed.
"""

from beyond_ai.testing import chat, messages, responses
from beyond_ai.testing.agent import AgentFolder, AgentRun
from beyond_ai.testing.answer import Answer, ToolCall
from beyond_ai.testing.client import WireClient
from beyond_ai.testing.connection import Script, UpstreamConnection
from beyond_ai.testing.gateway import GatewayProcess, UsageFields
from beyond_ai.testing.message import ReceivedRequest, WireResponse
from beyond_ai.testing.model import (
    Broken,
    Held,
    HttpError,
    NoAnswer,
    PromptTooLong,
    Reply,
    ScriptedModel,
    Slow,
    Turn,
    says,
    tool_call,
    uses,
)
from beyond_ai.testing.model_call import ModelCall
from beyond_ai.testing.stage import AgentRunner, GatewayMaker, KeyedGateway, ModelMaker
from beyond_ai.testing.steps import (
    Close,
    HalfClose,
    Pause,
    ReadBody,
    Reset,
    ResumeReading,
    Send,
    Step,
    StopReading,
    Tell,
    Until,
)
from beyond_ai.testing.threaded import ThreadedUpstream
from beyond_ai.testing.tool_context import Fence, Switch, tool_context
from beyond_ai.testing.upstream import Responder, ScriptedUpstream, in_turn
from beyond_ai.testing.wire import (
    LAST_CHUNK,
    chunk,
    chunked,
    chunked_head,
    close_delimited,
    json_response,
    request,
    response,
    response_head,
    sse,
    sse_frame,
)

__all__ = [
    "LAST_CHUNK",
    "AgentFolder",
    "AgentRun",
    "AgentRunner",
    "Answer",
    "Broken",
    "Close",
    "Fence",
    "GatewayMaker",
    "GatewayProcess",
    "HalfClose",
    "Held",
    "HttpError",
    "KeyedGateway",
    "ModelCall",
    "ModelMaker",
    "NoAnswer",
    "Pause",
    "PromptTooLong",
    "ReadBody",
    "ReceivedRequest",
    "Reply",
    "Reset",
    "Responder",
    "ResumeReading",
    "Script",
    "ScriptedModel",
    "ScriptedUpstream",
    "Send",
    "Slow",
    "Step",
    "StopReading",
    "Switch",
    "Tell",
    "ThreadedUpstream",
    "ToolCall",
    "Turn",
    "Until",
    "UpstreamConnection",
    "UsageFields",
    "WireClient",
    "WireResponse",
    "chat",
    "chunk",
    "chunked",
    "chunked_head",
    "close_delimited",
    "in_turn",
    "json_response",
    "messages",
    "request",
    "response",
    "response_head",
    "responses",
    "says",
    "sse",
    "sse_frame",
    "tool_call",
    "tool_context",
    "uses",
]
