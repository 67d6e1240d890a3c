"""The suites of the gateway's kinds find what is broken, and name the rule and where it is written."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.testing.faults import called, quick_search

from beyond_ai import (
    AuthScheme,
    Context,
    DenyReason,
    DenyScope,
    DenyStore,
    DenyUpdater,
    Identity,
    InvalidCredential,
    Observer,
    Provider,
    RequestRecord,
    ScannerFactory,
    Transport,
    UpstreamEvents,
    UpstreamExchange,
    UpstreamRequest,
    UsageCounts,
    UsageEvent,
    UsageQuirk,
    UsageSink,
)
from beyond_ai.testing.conformance import (
    AuthConformance,
    DenyStoreConformance,
    ObserverConformance,
    ProviderConformance,
    RuleBroken,
    ScannerConformance,
    SinkConformance,
    TransportConformance,
)


def negative(report: object, counts: UsageCounts) -> None:
    counts.input_tokens -= 1_000


def careless(report: dict[str, object], counts: UsageCounts) -> None:
    counts.cache_read_tokens = report.get("cached_tokens", 0)  # type: ignore[assignment]


def trusting(report: dict[str, dict[str, int]], counts: UsageCounts) -> None:
    counts.reasoning_tokens = report.get("usage", {}).get("reasoning_tokens")


def provider(adjust: Callable[..., None] | None = None, **parts: str) -> Provider:
    facts = {"authority": "api.acme.example:443", "summary": "Acme", "documentation": "https://docs.acme.example"}
    quirk = UsageQuirk(adjust=adjust) if adjust else None
    return Provider(name="acme", usage=quirk, **{**facts, **parts})  # type: ignore[arg-type]


class OddProvider(ProviderConformance):
    plugin = "acme"

    def __init__(self, made: Provider) -> None:
        self.made = made

    def record(self) -> Provider:
        return self.made


@pytest.mark.parametrize(
    ("made", "test", "rule"),
    [
        (provider(authority="acme"), "test_its_record_can_be_routed_to", "HOST:PORT"),
        (provider(documentation=""), "test_its_facts_have_a_source", "Provider.documentation"),
        (provider(key_env="acme key"), "test_its_facts_have_a_source", "Provider.key_env"),
        (provider(negative), "test_a_report_that_says_nothing_changes_nothing", "an empty report"),
        (provider(negative), "test_no_report_surprises_its_quirk", "UsageCounts.input_tokens"),
        (provider(careless), "test_no_report_surprises_its_quirk", "UsageCounts.cache_read_tokens"),
        (provider(trusting), "test_no_report_surprises_its_quirk", "raises on no JSON"),
    ],
)
def test_a_provider(made: Provider, test: str, rule: str) -> None:
    with pytest.raises(RuleBroken, match=f"(?s)(?=.*{rule}).*written in beyond_ai/spec/provider.py"):
        called(OddProvider(made), test)


class Scheme:
    managed = True

    def claims(self, credential: str) -> bool:
        return credential.startswith("team-")

    def authenticate(self, credential: str) -> Identity:
        if credential != "team-blue-of-the-north":
            raise InvalidCredential("unknown team")
        return Identity(1)


class Raising(Scheme):
    def authenticate(self, credential: str) -> Identity:
        return {"team-blue-of-the-north": Identity(1)}[credential]


class Telling(Scheme):
    def authenticate(self, credential: str) -> Identity:
        if credential != "team-blue-of-the-north":
            raise InvalidCredential(f"unknown team {credential}")
        return Identity(1)


class Lenient(Scheme):
    def authenticate(self, credential: str) -> Identity:
        return Identity(1)


class Greedy(Scheme):
    def claims(self, credential: str) -> bool:
        return True


class Backtracking(Scheme):
    def claims(self, credential: str) -> bool:
        return credential.startswith("team-") and not any(
            credential.count("A", at) == -1 for at in range(len(credential))
        )


class Outsized(Scheme):
    def authenticate(self, credential: str) -> Identity:
        return Identity(-1)


class OddAuth(AuthConformance):
    plugin = "team"
    valid = ("team-blue-of-the-north",)
    invalid = ("team-nobody-that-is-known",)

    def __init__(self, made: AuthScheme) -> None:
        self.made = made

    def make(self, folder: Path) -> AuthScheme:
        return self.made


@pytest.mark.parametrize(
    ("made", "test", "rule"),
    [
        (Raising(), "test_no_text_at_all_surprises_it", "nothing but InvalidCredential"),
        (Raising(), "test_it_refuses_what_is_not_valid", "a refusal is InvalidCredential"),
        (Telling(), "test_it_refuses_what_is_not_valid", "no part of the credential"),
        (Lenient(), "test_nothing_that_is_close_to_valid_is", "what is not valid is refused"),
        (Greedy(), "test_it_leaves_other_schemes_theirs", "AuthScheme.claims"),
        (Backtracking(), "test_a_long_credential_costs_no_more_than_a_look", "cheap"),
        (Outsized(), "test_it_accepts_its_own", "unsigned 64-bit"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Scheme) else "",
)
def test_an_auth_scheme(made: Scheme, test: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(RuleBroken, match=f"(?s)(?=.*{rule}).*written in beyond_ai/spec/auth.py"):
        called(OddAuth(made), test, tmp_path=tmp_path)


def test_an_auth_scheme_that_is_right(tmp_path: Path) -> None:
    for test in [name for name in dir(OddAuth) if name.startswith("test_") and "settings" not in name]:
        if "summary" not in test and test not in (
            "test_it_says_in_a_line_what_it_is",
            "test_it_is_made_anew_each_time",
        ):
            called(OddAuth(Scheme()), test, tmp_path=tmp_path)


class Kept:
    """A sink that keeps what it takes, with one fault."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.held: list[str] = []
        self.written: list[str] = []

    async def start(self) -> None:
        pass

    def emit(self, event: UsageEvent) -> None:
        if self.fault == "slow":
            time.sleep(0.001)
        if self.fault == "fragile":
            event.model.encode()
        self.held.append(event.request_id)

    async def aclose(self) -> None:
        if self.fault == "fragile" and len(self.held) < 10:
            return
        if self.fault != "forgetful":
            self.written += self.held


class OddSink(SinkConformance):
    plugin = "kept"

    def __init__(self, fault: str) -> None:
        self.sink = Kept(fault)

    def make(self, folder: Path) -> UsageSink:
        return self.sink

    def received(self, folder: Path) -> list[str]:
        return self.sink.written


@pytest.mark.parametrize(
    ("fault", "test", "rule"),
    [
        ("forgetful", "test_closing_writes_out_what_is_held", "UsageSink.aclose"),
        ("slow", "test_taking_an_event_never_blocks", "UsageSink.emit"),
        ("forgetful", "test_an_odd_event_spoils_no_other", "costs no other"),
    ],
)
def test_a_sink(fault: str, test: str, rule: str, tmp_path: Path) -> None:
    called(OddSink(""), test, tmp_path=tmp_path)
    with pytest.raises(RuleBroken, match=f"(?s)(?=.*{rule}).*written in beyond_ai/spec/sink.py"):
        called(OddSink(fault), test, tmp_path=tmp_path)


class Counting:
    """An observer that counts on there being a provider."""

    async def start(self) -> None:
        self.seen: dict[str, int] = {}

    def observe(self, record: RequestRecord) -> None:
        assert record.provider is not None
        self.seen[record.provider.upper()] = 1

    async def aclose(self) -> None:
        pass


class OddObserver(ObserverConformance):
    plugin = "counting"

    def make(self, folder: Path) -> Observer:
        return Counting()


def test_an_observer(tmp_path: Path) -> None:
    with pytest.raises(RuleBroken, match=r"(?s)takes every record.*written in beyond_ai/spec/observer.py"):
        OddObserver().test_it_takes_records_of_every_sort(tmp_path)


class Head:
    """A scanner that forgets what it saw at each border."""

    model: bytes | None = None
    stream = None
    options: tuple[tuple[int, int], ...] = ()
    open_option = root_end = -1
    root_empty = True
    words = 0

    def feed(self, data: bytes) -> None:
        _, _, rest = data.partition(b'"model":"')
        self.model = self.model or rest.partition(b'"')[0] or None


class OddScanner(ScannerConformance):
    plugin = "head"

    def make(self, folder: Path) -> ScannerFactory:
        return ScannerFactory(Head)


def test_a_scanner() -> None:
    suite = OddScanner()
    with pytest.raises(AssertionError):
        suite.test_model(Head, 1, b'{"model":"gpt-4o"}', b"gpt-4o")
    assert suite.rule_of("test_model").endswith("The contract of the kind: beyond_ai/spec/scanner.py")


class Early:
    """A transport that answers before `open` has returned."""

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        events.upstream_head(200, b"OK", [])
        events.upstream_end()
        return self

    def ignore(self, data: bytes = b"") -> None:
        pass

    send = send_end = pause = resume = abort = ignore

    async def aclose(self) -> None:
        pass


class OddTransport(TransportConformance):
    plugin = "early"

    def make_with(self, context: Context, folder: Path) -> Transport:
        return Early()


def test_a_transport(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"head before open\(\) returned"):
        OddTransport().test_empty_answer(tmp_path=tmp_path)
    assert "An answer without a body is a head and an end." in OddTransport.rule_of("test_empty_answer")


class Emptied:
    """A deny store that follows what a test says, and takes its entries along when it closes."""

    connected = ready = True

    def __init__(self, source: set[int]) -> None:
        self.source = source

    async def start(self, updater: DenyUpdater) -> None:
        self.updater = updater
        self.task = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        while True:
            self.updater.replace(dict.fromkeys(self.source, DenyReason.FRAUD), {})
            await asyncio.sleep(0.001)

    async def aclose(self) -> None:
        self.task.cancel()
        self.updater.replace({}, {})


class OddDenyStore(DenyStoreConformance):
    plugin = "emptied"

    def __init__(self) -> None:
        self.source: set[int] = set()

    def make(self, folder: Path) -> DenyStore:
        return Emptied(self.source)

    async def deny(self, folder: Path, scope: DenyScope, number: int, reason: DenyReason) -> None:
        self.source.add(number)

    async def allow(self, folder: Path, scope: DenyScope, number: int) -> None:
        self.source.remove(number)


def test_a_deny_store(tmp_path: Path) -> None:
    with pytest.raises(RuleBroken, match=r"(?s)closing leaves the set.*written in beyond_ai/spec/deny.py"):
        OddDenyStore().test_the_set_is_as_the_source_has_it(tmp_path)


__all__ = ["quick_search"]
