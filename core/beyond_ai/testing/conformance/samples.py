"""Events and records of every sort that a sink or an observer meets, the odd ones included."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from beyond_ai.spec.observer import RequestRecord
from beyond_ai.spec.provider import Dialect
from beyond_ai.spec.token_count import U64_MAX
from beyond_ai.spec.usage_event import Outcome, UsageEvent

ODD_NAME: Final = 'a"\n\r\\\u2028\x00{"模型\udcff' + "m" * 3_000
"""A model as a client may call it: no more is known of it than that it was between quotation marks."""


def usage_event(request_id: str = "1f-0", **fields: object) -> UsageEvent:
    """An ordinary event with REQUEST_ID, and FIELDS in place of its own."""
    event = UsageEvent(
        time=datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC),
        request_id=request_id,
        tenant_id=42,
        vpc_id=7,
        key_id=None,
        provider="openai",
        model="gpt-4o-2024-08-06",
        requested_model="gpt-4o",
        stream=True,
        input_tokens=12,
        output_tokens=34,
        usage_wire=Dialect.OPENAI,
        upstream_status=200,
        latency_ms=56,
        ttft_ms=5,
    )
    return replace(event, **fields)  # type: ignore[arg-type]


def odd_events() -> Sequence[UsageEvent]:
    """Events at the borders of what the gateway may say; their ids begin with `odd-`."""
    most = dict.fromkeys(("tenant_id", "vpc_id", "key_id", "input_tokens", "output_tokens", "latency_ms"), U64_MAX)
    return [
        usage_event("odd-0", model=ODD_NAME, requested_model=ODD_NAME),
        usage_event("odd-1", **most),
        usage_event("odd-2", model="", requested_model="", provider="", upstream_status=None, ttft_ms=None),
        usage_event("odd-3", usage_wire=None, usage_estimated=True, outcome=Outcome.CUT_SHORT),
        usage_event("odd-4", service_tier="priority", server_tool_calls=0, reasoning_tokens=0, key_id=0),
        usage_event("odd-5", upstream_cost_usd="12345678901234567890.123456789e-7", usage_wire=Dialect.ANTHROPIC),
    ]


def request_record(request_id: str = "1f-0", **fields: object) -> RequestRecord:
    """The record of an ordinary managed request with REQUEST_ID, and FIELDS in place of its own."""
    record = RequestRecord(
        request_id=request_id,
        method="POST",
        path="/v1/chat/completions",
        provider="openai",
        server_address="api.openai.com",
        server_port=443,
        endpoint="chat",
        managed=True,
        status=200,
        error_type=None,
        started_ns=1_772_600_767_000_000_000,
        ended_ns=1_772_600_768_500_000_000,
        requested_model="gpt-4o",
        model="gpt-4o-2024-08-06",
        stream=True,
        input_tokens=12,
        output_tokens=34,
        usage_wire=Dialect.OPENAI,
        ttft_ns=400_000_000,
        outcome=Outcome.OK,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return replace(record, **fields)  # type: ignore[arg-type]


def odd_records() -> Sequence[RequestRecord]:
    """Records of refusals and failures, and of what clients may make up."""
    refused = request_record(
        "odd-0",
        provider=None,
        server_address=None,
        server_port=None,
        endpoint=None,
        managed=None,
        status=401,
        error_type="authentication_error",
        requested_model=None,
        model=None,
        stream=False,
        input_tokens=None,
        output_tokens=None,
        usage_wire=None,
        ttft_ns=None,
        outcome=None,
        traceparent=None,
    )
    return [
        refused,
        replace(refused, request_id="odd-1", method="", path="", status=None),
        request_record("odd-2", requested_model=ODD_NAME, model=ODD_NAME, path="/" + "%ff" * 1_000, method="ODD"),
        request_record("odd-3", traceparent="not a context", tracestate="\x00=é,"),
        request_record("odd-4", outcome=Outcome.CLIENT_CANCELLED, ended_ns=0, started_ns=0, ttft_ns=0),
        request_record("odd-5", input_tokens=U64_MAX, output_tokens=U64_MAX, managed=False, status=502),
    ]
