"""The table `usage`: its columns, and an event as a row of it."""

from datetime import UTC
from typing import Final

from beyond_ai import UsageEvent

Row = tuple[str | int | None, ...]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS usage (
    request_id TEXT PRIMARY KEY,
    time TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    vpc_id TEXT NOT NULL,
    key_id TEXT,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    requested_model TEXT NOT NULL,
    stream INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER,
    reasoning_tokens INTEGER,
    service_tier TEXT,
    server_tool_calls INTEGER,
    usage_wire TEXT,
    usage_estimated INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    upstream_status INTEGER,
    latency_ms INTEGER NOT NULL,
    ttft_ms INTEGER,
    upstream_cost_usd TEXT
);
CREATE INDEX IF NOT EXISTS usage_of_tenant ON usage (tenant_id, time);
"""
INSERT: Final = f"INSERT OR IGNORE INTO usage VALUES ({', '.join('?' * 24)})"

MAX_INTEGER: Final = 2**63 - 1
"""SQLite's integers are signed. Ids use all 64 bits, and are text; a count beyond this is a provider's nonsense."""


def row(event: UsageEvent) -> Row:
    """EVENT in the order of the columns."""
    return (
        event.request_id,
        event.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        str(event.tenant_id),
        str(event.vpc_id),
        None if event.key_id is None else str(event.key_id),
        event.provider,
        _text(event.model),
        _text(event.requested_model),
        int(event.stream),
        _count(event.input_tokens),
        _count(event.output_tokens),
        _count(event.cache_read_tokens),
        _count(event.cache_write_tokens),
        _optional(event.cache_write_1h_tokens),
        _optional(event.reasoning_tokens),
        event.service_tier,
        _optional(event.server_tool_calls),
        None if event.usage_wire is None else event.usage_wire.value,
        int(event.usage_estimated),
        event.outcome.value,
        event.upstream_status,
        event.latency_ms,
        event.ttft_ms,
        event.upstream_cost_usd,
    )


def _text(name: str) -> str:
    """NAME without what UTF-8 cannot say: JSON may hold halves of characters, and no bill must fail for it."""
    return name.encode("utf-8", "replace").decode()


def _count(number: int) -> int:
    return min(number, MAX_INTEGER)


def _optional(number: int | None) -> int | None:
    return None if number is None else _count(number)
