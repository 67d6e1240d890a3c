"""The usage event: what one managed request used, as every sink receives it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from beyond_ai.spec.provider import Dialect


class Outcome(Enum):
    """How a request ended."""

    OK = "ok"
    """the client got the whole answer, or left after its terminal event"""
    UPSTREAM_ERROR = "upstream_error"
    """the provider answered with a status of 400 or above, or could not be reached"""
    CLIENT_CANCELLED = "client_cancelled"
    """the client left before the end"""
    CUT_SHORT = "cut_short"
    """the answer began and broke off, on the provider's side or by a limit of ours"""


@dataclass(slots=True, init=False)
class UsageEvent:
    """What one managed request used. Token counts are the provider's own; each wire keeps its meaning of input.

    A count that every usage object has is 0 where it was left out; one that only some have is None then, which is not
    zero. With neither `usage_wire` nor `usage_estimated` no count is known.

    Attributes:
        time: when the request ended, UTC.
        request_id: the id in the response header `x-beyond-request-id` and in the logs.
        tenant_id: the tenant of the credential, unsigned 64-bit.
        vpc_id: the tenant's network that the credential is for, unsigned 64-bit.
        key_id: the credential's own number, unsigned 64-bit; None where it has none.
        provider: the provider's name, as in the path.
        model: as the provider answered it, else as requested; empty when neither was readable.
        requested_model: as the client sent it; empty when not readable.
        stream: whether the answer was an event stream, by its content type, or by its form where that says nothing.
        input_tokens: the prompt. On the OpenAI wires cached tokens are included, on Anthropic's they are not.
        output_tokens: what was generated, reasoning included.
        cache_read_tokens: of the prompt, read from the provider's cache.
        cache_write_tokens: of the prompt, written to the provider's cache.
        cache_write_1h_tokens: those of `cache_write_tokens` that stay for an hour instead of five minutes, at another
            price; None when the provider did not say.
        reasoning_tokens: those of `output_tokens` that are hidden reasoning; None when the provider did not say.
        service_tier: the tier that served, 1 to 16 of `a-z`, `0-9`, `_` and `-`; None when the provider did not say.
        server_tool_calls: tools that the provider itself ran (web search, fetch); None when the provider did not say.
        usage_wire: whose usage object was read, `openai` or `anthropic`; None when there was none.
        usage_estimated: whether the counts are an estimate, which errs low, since the provider's did not arrive.
        outcome: how the request ended: `ok`, `upstream_error`, `client_cancelled` or `cut_short`.
        upstream_status: the provider's HTTP status; None when it did not answer.
        latency_ms: from the request's head to the end of the answer.
        ttft_ms: from the request's head to the head of the provider's answer; None when it did not answer.
        upstream_cost_usd: what the provider says that it charges, a JSON number as text, digit for digit; None when
            the provider did not say.
    """

    time: datetime
    request_id: str
    tenant_id: int
    vpc_id: int
    key_id: int | None
    provider: str
    model: str
    requested_model: str
    stream: bool
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    service_tier: str | None
    server_tool_calls: int | None
    usage_wire: Dialect | None
    usage_estimated: bool
    outcome: Outcome
    upstream_status: int | None
    latency_ms: int
    ttft_ms: int | None
    upstream_cost_usd: str | None

    def __init__(  # one that is compiled: the one that `dataclass` writes costs more than all else of an event
        self,
        *,
        time: datetime,
        request_id: str,
        tenant_id: int,
        vpc_id: int,
        key_id: int | None,
        provider: str,
        model: str,
        requested_model: str,
        stream: bool,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        cache_write_1h_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        service_tier: str | None = None,
        server_tool_calls: int | None = None,
        usage_wire: Dialect | None = None,
        usage_estimated: bool = False,
        outcome: Outcome = Outcome.OK,
        upstream_status: int | None = None,
        latency_ms: int = 0,
        ttft_ms: int | None = None,
        upstream_cost_usd: str | None = None,
    ) -> None:
        self.time = time
        self.request_id = request_id
        self.tenant_id = tenant_id
        self.vpc_id = vpc_id
        self.key_id = key_id
        self.provider = provider
        self.model = model
        self.requested_model = requested_model
        self.stream = stream
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cache_read_tokens = cache_read_tokens
        self.cache_write_tokens = cache_write_tokens
        self.cache_write_1h_tokens = cache_write_1h_tokens
        self.reasoning_tokens = reasoning_tokens
        self.service_tier = service_tier
        self.server_tool_calls = server_tool_calls
        self.usage_wire = usage_wire
        self.usage_estimated = usage_estimated
        self.outcome = outcome
        self.upstream_status = upstream_status
        self.latency_ms = latency_ms
        self.ttft_ms = ttft_ms
        self.upstream_cost_usd = upstream_cost_usd
