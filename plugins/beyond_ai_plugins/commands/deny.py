"""`beyond-ai deny`: refuse a tenant or one key, take that back, and see who is refused.

Works on the bucket that the gateway watches, under the gateway's own configuration, so that what is written here is
what every gateway on that bucket does a moment later.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from beyond_ai import BeyondError, Command, DenyScope, configured_context, hookimpl
from beyond_ai_plugins.auth.ranges import MAX_U64
from beyond_ai_plugins.deny.nats.entries import Update, is_removal, key_of, parse_key, parse_value

if TYPE_CHECKING:
    from beyond_ai_plugins.deny.nats.bucket import Bucket, Connection

TIMEOUT: Final = 5.0
"""Seconds for the server to answer."""
HEARTBEAT: Final = 5.0
_FIRST_WITH_TTL: Final = (2, 11)

R = TypeVar("R")

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Refuse tenants and keys, and see who is refused.")


class Reason(Enum):
    """The reasons that can be given."""

    SPEND = "spend"
    FRAUD = "fraud"


TenantArgument = Annotated[
    int | None, typer.Argument(min=0, max=MAX_U64, show_default=False, help="Id of a tenant: all its keys.")
]
KeyIdOption = Annotated[
    int | None, typer.Option(min=0, max=MAX_U64, help="Id of one bai_v2 key, in place of a tenant.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", metavar="FILE", help="Configuration file. [default: $AI_CONFIG_PATH, ./config.toml]"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom an entry is about."""

    scope: DenyScope
    number: int

    def __str__(self) -> str:
        return f"{self.scope.value} {self.number}"

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return key_of(self.scope, self.number)


@app.command()
def add(
    tenant: TenantArgument = None,
    key_id: KeyIdOption = None,
    reason: Annotated[Reason, typer.Option(help="spend answers 402, over limit; fraud 403, suspended.")] = Reason.FRAUD,
    ttl: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="Let it end by itself. [default: it stays]")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Refuse a tenant, or one key, from now on.

    Requests that are under way end as they would have. An entry that is there is replaced, its end included.
    """
    target = _target(tenant, key_id)

    async def work(bucket: "Bucket") -> None:
        setup = await bucket.require()
        headers: dict[str, str] = {}
        if ttl is not None:
            _require_ttl(bucket.connection, allowed=bool(setup.allow_msg_ttl))
            headers["Nats-TTL"] = f"{ttl}s"
        await bucket.publish(target.key, reason.value.encode("ascii"), headers)

    _on_bucket(config, work)
    until = "" if ttl is None else f" for {ttl} s"
    typer.echo(f"{target} is refused{until}: {reason.value}")


@app.command()
def remove(tenant: TenantArgument = None, key_id: KeyIdOption = None, config: ConfigOption = None) -> None:
    """Serve a tenant, or one key, again."""
    target = _target(tenant, key_id)

    async def work(bucket: "Bucket") -> bool:
        there = any(update.key == target.key for update in await _entries(bucket))
        if there:
            await bucket.publish(target.key, b"", {"KV-Operation": "DEL"})
        return there

    typer.echo(f"{target} is served again" if _on_bucket(config, work) else f"{target} was not refused")


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show who is refused, since when and why."""
    rows = [_facts(update) for update in _on_bucket(config, _entries)]
    rows.sort(key=lambda row: (row["scope"] != DenyScope.TENANT.value, row["id"]))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = [("scope", "id", "reason", "since"), *(tuple(map(str, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@app.command()
def watch(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print each change from now on, until Ctrl-C."""

    async def work(bucket: "Bucket") -> None:
        from beyond_ai_plugins.deny.nats.feed import Feed

        await bucket.require()
        feed = await Feed.open(bucket, HEARTBEAT, after=(await bucket.state()).last)
        typer.echo(f"watching the bucket {bucket.name}; Ctrl-C ends it", err=True)
        while True:
            for update in await feed.batch(HEARTBEAT):
                if parse_key(update.key) is not None:
                    _print_change(update, as_json=as_json)

    _on_bucket(config, work)


def _print_change(update: Update, *, as_json: bool) -> None:
    facts = _facts(update)
    if as_json:
        typer.echo(json.dumps(facts))
    elif facts["reason"] is None:
        typer.echo(f"{facts['since']}  {facts['scope']} {facts['id']} is served again")
    else:
        typer.echo(f"{facts['since']}  {facts['scope']} {facts['id']} is refused: {facts['reason']}")


def _facts(update: Update) -> dict[str, int | str | None]:
    """What an entry says, or, with no reason, that it is gone."""
    target = parse_key(update.key)
    assert target is not None
    scope, number = target
    gone = update.value is None or is_removal(update.value)
    return {
        "scope": scope.value,
        "id": number,
        "reason": None if gone else parse_value(update.value or b"").value,
        "since": datetime.fromtimestamp(update.time // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z"),
    }


def _target(tenant: int | None, key_id: int | None) -> Target:
    if (tenant is None) == (key_id is None):
        raise BeyondError("name one tenant, or one key with --key-id", "for example: beyond-ai deny add 42")
    return Target(DenyScope.KEY, key_id) if tenant is None else Target(DenyScope.TENANT, tenant)  # type: ignore[arg-type]


def _require_ttl(connection: "Connection", *, allowed: bool) -> None:
    version = ".".join(map(str, connection.version))
    if connection.version < _FIRST_WITH_TTL:
        raise BeyondError(
            f"--ttl needs nats-server 2.11 or newer, and this one is {version}",
            "leave --ttl out, and use `beyond-ai deny remove` when it should end",
        )
    if not allowed:
        raise BeyondError(
            "--ttl needs a bucket that lets entries expire, and this one does not",
            "`nats stream edit` with --allow-msg-ttl and --subject-del-markers-ttl=1h changes that",
        )


async def _entries(bucket: "Bucket") -> list[Update]:
    """The entries in BUCKET; none where there is no such bucket."""
    from beyond_ai_plugins.deny.nats.feed import Feed

    if await bucket.config() is None:
        return []
    feed = await Feed.open(bucket, HEARTBEAT)
    found: dict[str, Update] = {}
    while not feed.complete or feed.waiting:
        found.update((update.key, update) for update in await feed.batch(HEARTBEAT))
    return [update for update in found.values() if parse_key(update.key) and not is_removal(update.value)]


def _on_bucket(config: Path | None, work: "Callable[[Bucket], Awaitable[R]]") -> R:
    """What WORK makes of the bucket. Raises BeyondError when NATS does not do its part."""
    import asyncio

    from beyond_ai_plugins.deny.nats.bucket import opened

    settings = configured_context(config).nats

    async def run() -> R:
        async with opened(settings, TIMEOUT) as bucket:
            return await work(bucket)

    return asyncio.run(run())


@hookimpl
def beyond_commands() -> Iterable[Command]:
    """Offer `beyond-ai deny`."""
    yield Command(name="deny", summary="Refuse tenants and keys, and see who is refused.", app=app)
