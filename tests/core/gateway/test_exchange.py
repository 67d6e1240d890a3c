"""The exchange, as transcripts: an event a line, and behind the bar what it makes the exchange do, in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.core.gateway.parts import router_of

from beyond_ai.gateway import rejection
from beyond_ai.gateway.exchange import Exchange, Phase
from beyond_ai.gateway.headers import ResponseHead
from beyond_ai.gateway.metering import Ledger, Meter
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.rejection import Rejection
from beyond_ai.spec.provider import Provider
from beyond_ai.spec.transport import (
    FailureStage,
    Headers,
    UpstreamEvents,
    UpstreamExchange,
    UpstreamFailure,
    UpstreamRequest,
)

PROVIDER: Final = Provider(name="acme", authority="api.acme.example:443")
REFUSALS: Final = {
    rejection.BODY_TOO_LARGE: "413",
    rejection.REQUEST_TIMEOUT: "408",
    rejection.UNREACHABLE: "502 unreachable",
    rejection.UPSTREAM_FAILED: "502 failed",
    rejection.UPSTREAM_TIMEOUT: "504",
}


@dataclass
class RecordingClient:
    """The client's side: writes down what it is asked for."""

    calls: list[str]
    heads: list[Headers] = field(default_factory=list)

    def informational(self, status: int, headers: Headers) -> None:
        self.calls.append(f"client: interim {status}")

    def head(self, status: int, reason: bytes, head: ResponseHead, bodiless: bool) -> None:
        self.heads.append(head.headers)
        framing = "no length" if head.length is None else f"length {head.length}"
        self.calls.append(f"client: head {status}, {framing}" + (", no body" if bodiless else ""))

    def body(self, data: bytes, framed: bytes = b"") -> None:
        self.calls.append(f"client: body {data.decode()}" + (", framed" if framed else ""))

    def end(self) -> None:
        self.calls.append("client: end")

    def refuse(self, rejection: Rejection) -> None:
        self.calls.append(f"client: refuse {REFUSALS[rejection]}")

    def abort(self) -> None:
        self.calls.append("client: abort")

    def pause_reading(self) -> None:
        self.calls.append("client: read no more")

    def resume_reading(self) -> None:
        self.calls.append("client: read on")


@dataclass
class RecordingUpstream:
    """The provider's side, transport and exchange in one."""

    calls: list[str]

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        return self

    async def aclose(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        self.calls.append(f"provider: send {data.decode()}")

    def send_end(self) -> None:
        self.calls.append("provider: send end")

    def pause(self) -> None:
        self.calls.append("provider: read no more")

    def resume(self) -> None:
        self.calls.append("provider: read on")

    def abort(self) -> None:
        self.calls.append("provider: abort")


class Calls(list[str]):
    """What an exchange did, in order. That it told the meter that all is over is seen by what the meter counts."""

    def __init__(self, meter: Meter, metrics: Metrics) -> None:
        super().__init__()
        self._meter = meter
        self._metrics = metrics
        self._ended = 0

    def append(self, call: str) -> None:
        self.see_end()
        super().append(call)

    def see_end(self) -> None:
        while self._ended < 1 - self._metrics.in_flight:
            self._ended += 1
            super().append(f"meter: {self._meter._outcome.value}")


class Stage:
    """An exchange between two recording sides; `calls` is all that it did, in order."""

    def __init__(self, method: bytes = b"POST", *, has_body: bool = True, limit: int | None = None) -> None:
        """LIMIT is how much of a body is within the limit."""
        route = router_of([PROVIDER]).route(b"/acme/v1/models")
        assert route is not None
        self.metrics = Metrics([PROVIDER.name])
        meter = Meter(Ledger(self.metrics, ()), route, None, "1-0", 0.0, None)
        self._calls = Calls(meter, self.metrics)
        self.client = RecordingClient(self._calls)
        self.exchange = Exchange(self.client, meter, has_body=has_body, method=method)
        if limit is not None:
            self.exchange._received = rejection.MAX_BODY - limit
        request = UpstreamRequest(PROVIDER.name, method, b"/", [], "api.acme.example", 443, True, None, has_body)
        self.exchange.open(RecordingUpstream(self._calls), request)

    @property
    def calls(self) -> list[str]:
        self._calls.see_end()
        return self._calls

    def play(self, transcript: str) -> None:
        """Check TRANSCRIPT: after each event exactly the calls that stand behind its bar."""
        for line in filter(str.strip, transcript.splitlines()):
            event, _, expected = line.partition("|")
            before = len(self.calls)
            self.happen(event.strip())
            assert self.calls[before:] == [call.strip() for call in expected.split(";") if call.strip()], event.strip()

    def happen(self, event: str) -> None:
        side, _, what = event.partition(": ")
        word, _, rest = what.partition(" ")
        {"client": self._client_event, "provider": self._provider_event}[side](word, rest)

    def _client_event(self, word: str, rest: str) -> None:
        exchange = self.exchange
        events: dict[str, Callable[[], None]] = {
            "body": lambda: exchange.client_body(rest.encode()),
            "end": exchange.client_end,
            "lost": exchange.client_lost,
            "stalls": lambda: exchange.client_timeout(rejection.REQUEST_TIMEOUT),
            "slow": exchange.client_pause,
            "quick": exchange.client_resume,
        }
        events[word]()

    def _provider_event(self, word: str, rest: str) -> None:
        exchange = self.exchange
        events: dict[str, Callable[[], None]] = {
            "retry": exchange.upstream_connect_retry,
            "interim": lambda: exchange.upstream_informational(int(rest), []),
            "head": lambda: exchange.upstream_head(*head_of(rest)),
            "body": lambda: exchange.upstream_body(rest.encode()),
            "chunk": lambda: exchange.upstream_body(rest.encode(), b"%x\r\n%b\r\n" % (len(rest), rest.encode())),
            "end": exchange.upstream_end,
            "fails": lambda: exchange.upstream_failed(failure_of(rest)),
            "slow": exchange.upstream_pause,
            "quick": exchange.upstream_resume,
        }
        events[word]()


def head_of(text: str) -> tuple[int, bytes, Headers]:
    """`200 length 5 chunked` as an upstream reports it."""
    words = text.split()
    headers: Headers = []
    if "length" in words:
        headers.append((b"Content-Length", words[words.index("length") + 1].encode()))
    if "chunked" in words:
        headers.append((b"Transfer-Encoding", b"chunked"))
    return int(words[0]), b"", headers


def failure_of(text: str) -> UpstreamFailure:
    return UpstreamFailure(FailureStage(text.split(maxsplit=1)[0]), "it failed", timed_out="late" in text)


TRANSCRIPTS: Final = {
    "a plain exchange": """
        client: body {"a":1}             | provider: send {"a":1}
        client: end                      | provider: send end
        provider: head 200 length 2      | client: head 200, length 2
        provider: body ok                | client: body ok
        provider: end                    | meter: ok; client: end
    """,
    "both bodies in pieces": """
        client: body a                   | provider: send a
        client: body b                   | provider: send b
        client: end                      | provider: send end
        provider: head 200 chunked       | client: head 200, no length
        provider: body x                 | client: body x
        provider: body y                 | client: body y
        provider: end                    | meter: ok; client: end
    """,
    "chunked wins over a content-length": """
        client: end                      | provider: send end
        provider: head 200 length 2 chunked | client: head 200, no length
        provider: end                    | meter: ok; client: end
    """,
    "chunks keep their framing": """
        client: end                      | provider: send end
        provider: head 200 chunked       | client: head 200, no length
        provider: chunk x                | client: body x, framed
        provider: body y                 | client: body y
        provider: end                    | meter: ok; client: end
    """,
    "a body that ends where the connection does": """
        client: end                      | provider: send end
        provider: head 200               | client: head 200, no length
        provider: body x                 | client: body x
        provider: end                    | meter: ok; client: end
    """,
    "204 has no body": """
        client: end                      | provider: send end
        provider: head 204               | client: head 204, no length, no body
        provider: end                    | meter: ok; client: end
    """,
    "304 keeps the length of what it does not send": """
        client: end                      | provider: send end
        provider: head 304 length 99     | client: head 304, length 99, no body
        provider: end                    | meter: ok; client: end
    """,
    "interim answers pass, before and while the body goes up": """
        provider: interim 100            | client: interim 100
        client: body a                   | provider: send a
        provider: interim 103            | client: interim 103
        client: end                      | provider: send end
        provider: interim 102            | client: interim 102
        provider: head 200 length 0      | client: head 200, length 0
        provider: end                    | meter: ok; client: end
    """,
    "an early answer, and the body goes on up": """
        client: body a                   | provider: send a
        provider: head 413 length 2      | client: head 413, length 2
        client: body b                   | provider: send b
        provider: body no                | client: body no
        client: end                      | provider: send end
        provider: end                    | meter: upstream_error; client: end
    """,
    "an early answer that is over before the body is": """
        client: body a                   | provider: send a
        provider: head 413 length 2      | client: head 413, length 2
        provider: body no                | client: body no
        provider: end                    | meter: upstream_error; client: end
        client: body b                   |
        client: end                      |
        client: lost                     |
    """,
    "the provider is slow": """
        client: body a                   | provider: send a
        provider: slow                   | client: read no more
        provider: quick                  | client: read on
        client: body b                   | provider: send b
    """,
    "the client is slow": """
        client: end                      | provider: send end
        provider: head 200 chunked       | client: head 200, no length
        provider: body a                 | client: body a
        client: slow                     | provider: read no more
        client: quick                    | provider: read on
        provider: body b                 | client: body b
        provider: end                    | meter: ok; client: end
    """,
    "the client leaves while its body goes up": """
        client: body a                   | provider: send a
        client: lost                     | provider: abort; meter: client_cancelled
    """,
    "the client leaves before the answer": """
        client: end                      | provider: send end
        client: lost                     | provider: abort; meter: client_cancelled
    """,
    "the client leaves in the middle of the answer": """
        client: end                      | provider: send end
        provider: head 200 chunked       | client: head 200, no length
        provider: body a                 | client: body a
        client: lost                     | provider: abort; meter: client_cancelled
    """,
    "the client leaves while both bodies go": """
        client: body a                   | provider: send a
        provider: head 200 chunked       | client: head 200, no length
        client: lost                     | provider: abort; meter: client_cancelled
    """,
    "the client leaves twice": """
        client: lost                     | provider: abort; meter: client_cancelled
        client: lost                     |
    """,
    "the client stops sending": """
        client: body a                   | provider: send a
        client: stalls                   | provider: abort; meter: client_cancelled; client: refuse 408
        client: body b                   |
        client: end                      |
    """,
    "the client stops reading": """
        client: end                      | provider: send end
        provider: head 200 chunked       | client: head 200, no length
        client: slow                     | provider: read no more
        client: stalls                   | provider: abort; meter: client_cancelled; client: abort
    """,
    "nobody can be reached": """
        client: body a                   | provider: send a
        provider: retry                  |
        provider: retry                  |
        provider: fails connect          | meter: upstream_error; client: refuse 502 unreachable
        client: body b                   |
        client: end                      |
    """,
    "nobody answers the connect in time": """
        client: end                      | provider: send end
        provider: fails connect late     | meter: upstream_error; client: refuse 502 unreachable
    """,
    "the provider dies while the body goes up": """
        client: body a                   | provider: send a
        provider: fails send             | meter: upstream_error; client: refuse 502 failed
        client: body b                   |
        client: end                      |
    """,
    "the provider dies before it answers": """
        client: end                      | provider: send end
        provider: fails send             | meter: upstream_error; client: refuse 502 failed
    """,
    "the provider does not answer": """
        client: end                      | provider: send end
        provider: fails send late        | meter: upstream_error; client: refuse 504
    """,
    "the provider dies in its answer": """
        client: end                      | provider: send end
        provider: head 200 length 9      | client: head 200, length 9
        provider: body a                 | client: body a
        provider: fails body             | meter: cut_short; client: abort
        client: lost                     |
    """,
    "the provider falls silent in its answer": """
        client: end                      | provider: send end
        provider: head 200 chunked       | client: head 200, no length
        provider: fails body late        | meter: cut_short; client: abort
    """,
    "the provider dies in an early answer": """
        client: body a                   | provider: send a
        provider: head 200 chunked       | client: head 200, no length
        provider: fails body             | meter: cut_short; client: abort
        client: body b                   |
        client: end                      |
    """,
}


@pytest.mark.parametrize("transcript", TRANSCRIPTS.values(), ids=list(TRANSCRIPTS))
def test_transcript(transcript: str) -> None:
    Stage().play(transcript)


def test_a_request_without_a_body_has_no_end_of_one() -> None:
    Stage(b"GET", has_body=False).play("""
        client: end                      |
        provider: head 200 length 0      | client: head 200, length 0
        provider: end                    | meter: ok; client: end
    """)


def test_head_has_the_length_of_a_body_that_never_comes() -> None:
    Stage(b"HEAD", has_body=False).play("""
        client: end                      |
        provider: head 200 length 1000   | client: head 200, length 1000, no body
        provider: end                    | meter: ok; client: end
    """)


@pytest.mark.parametrize("pieces", [["abcdef"], ["abc", "def"], ["abcde", "f", "g"]], ids=["one", "edge", "over"])
def test_the_limit_counts_what_comes(pieces: Sequence[str]) -> None:
    """What is declared is checked before an exchange begins; what is not, here."""
    stage = Stage(limit=5)
    total = 0
    for piece in pieces:
        total += len(piece)
        if total <= 5:
            stage.play(f"client: body {piece} | provider: send {piece}")
        else:
            stage.play(f"client: body {piece} | provider: abort; meter: cut_short; client: refuse 413")
            break
    stage.play("client: body more |\nclient: end |")


def test_the_limit_in_an_early_answer_breaks_it() -> None:
    Stage(limit=5).play("""
        client: body abc                 | provider: send abc
        provider: head 200 chunked       | client: head 200, no length
        client: body def                 | provider: abort; meter: cut_short; client: abort
    """)


def test_exactly_the_limit_passes() -> None:
    Stage(limit=5).play("""
        client: body abcde               | provider: send abcde
        client: end                      | provider: send end
    """)


def test_headers_are_filtered_on_the_way_to_the_client() -> None:
    stage = Stage()
    kept = (b"X-Request-Id", b"req_1")
    stage.exchange.upstream_head(200, b"OK", [(b"Connection", b"keep-alive"), kept, (b"X-Beyond-Cost", b"1")])
    assert stage.client.heads == [[kept]]


def test_metrics_follow_an_exchange() -> None:
    stage = Stage()
    assert stage.metrics.in_flight == 1
    stage.happen("provider: retry")
    stage.exchange.upstream_head(200, b"OK", [(b"Content-Type", b"text/event-stream; charset=utf-8")])
    provider = stage.metrics.providers[PROVIDER.name]
    assert (stage.metrics.active_streams, provider.connect_retries, provider.responses[2]) == (1, 1, 1)
    assert (sum(provider.ttft.counts), sum(provider.latency.counts)) == (1, 0)
    stage.happen("provider: end")
    assert (stage.metrics.in_flight, stage.metrics.active_streams) == (0, 0)
    assert sum(provider.latency.counts) == 1


class ExchangeMachine(RuleBasedStateMachine):
    """Any order of events that the two sides may really report, each side knowing only what it was told itself."""

    LIMIT: Final = 40

    def __init__(self) -> None:
        super().__init__()
        self.received = 0
        self.request_over = False
        self.client_gone = self.left_early = False
        self.head_come = False
        self.provider_over = False

    @initialize(method=st.sampled_from([b"POST", b"HEAD", b"GET"]), has_body=st.booleans())
    def begin(self, method: bytes, has_body: bool) -> None:
        self.stage = Stage(method, has_body=has_body, limit=self.LIMIT)
        self.has_body = has_body

    @property
    def calls(self) -> list[str]:
        return self.stage.calls

    def done(self, *calls: str) -> bool:
        return any(call.startswith(calls) for call in self.calls)

    @property
    def client_listens(self) -> bool:
        return not self.client_gone and not self.answered

    @property
    def answered(self) -> bool:
        return self.done("client: end", "client: refuse", "client: abort")

    @property
    def provider_speaks(self) -> bool:
        return not self.provider_over and not self.done("provider: abort")

    # The client's side

    @rule()
    def time_passes(self) -> None:
        pass

    @precondition(lambda self: self.has_body and not self.client_gone and not self.request_over)
    @rule(size=st.integers(1, 30))
    def client_body(self, size: int) -> None:
        self.received += size
        self.stage.happen(f"client: body {'x' * size}")

    @precondition(lambda self: not self.client_gone and not self.request_over)
    @rule()
    def client_end(self) -> None:
        self.request_over = True
        self.stage.happen("client: end")

    @precondition(lambda self: not self.client_gone)
    @rule()
    def client_lost(self) -> None:
        self.client_gone, self.left_early = True, not self.answered
        self.stage.happen("client: lost")

    @precondition(lambda self: self.client_listens)
    @rule()
    def client_stalls(self) -> None:
        self.stage.happen("client: stalls")

    @precondition(lambda self: self.client_listens)
    @rule(event=st.sampled_from(["slow", "quick"]))
    def client_pace(self, event: str) -> None:
        self.stage.happen(f"client: {event}")

    # The provider's side

    @precondition(lambda self: self.provider_speaks)
    @rule(event=st.sampled_from(["slow", "quick"]))
    def provider_pace(self, event: str) -> None:
        self.stage.happen(f"provider: {event}")

    @precondition(lambda self: self.provider_speaks and not self.head_come)
    @rule(event=st.sampled_from(["retry", "interim 100", "interim 103"]))
    def provider_before_the_head(self, event: str) -> None:
        self.stage.happen(f"provider: {event}")

    @precondition(lambda self: self.provider_speaks and not self.head_come)
    @rule(head=st.sampled_from(["200 chunked", "200 length 7", "200", "204", "304 length 5", "500 chunked"]))
    def provider_head(self, head: str) -> None:
        self.head_come = True
        self.stage.happen(f"provider: head {head}")

    @precondition(lambda self: self.provider_speaks and self.head_come)
    @rule()
    def provider_body(self) -> None:
        self.stage.happen("provider: body y")

    @precondition(lambda self: self.provider_speaks and self.head_come)
    @rule()
    def provider_end(self) -> None:
        self.provider_over = True
        self.stage.happen("provider: end")

    @precondition(lambda self: self.provider_speaks)
    @rule(late=st.booleans())
    def provider_fails(self, late: bool) -> None:
        self.provider_over = True
        stage = "body" if self.head_come else "send"
        self.stage.happen(f"provider: fails {stage}{' late' if late else ''}")

    # What holds whatever happens

    @invariant()
    def ends_exactly_once_and_then_for_good(self) -> None:
        ended = self.stage.exchange.phase is Phase.ENDED
        endings = [call for call in self.calls if call.startswith("meter: ")]
        assert len(endings) == ended
        assert self.stage.metrics.in_flight == (not ended)
        farewells = [c for c in self.calls if c.startswith(("client: end", "client: refuse", "client: abort"))]
        assert len(farewells) == (ended and not self.left_early)
        if ended:
            last = self.calls.index(endings[0])
            assert self.calls[last + 1 :] == farewells

    @invariant()
    def the_client_hears_a_well_formed_answer(self) -> None:
        words = [call.split()[1].rstrip(",") for call in self.calls if call.startswith("client: ")]
        answer = [word for word in words if word in ("interim", "head", "body", "end", "refuse", "abort")]
        assert answer.count("head") == (self.head_come and "head" in answer)
        if "head" in answer:
            head = answer.index("head")
            assert "interim" not in answer[head:]
            assert "refuse" not in answer
            assert "body" not in answer[:head]
        else:
            assert not {"body", "end", "abort"} & set(answer)

    @invariant()
    def the_provider_hears_a_well_formed_request(self) -> None:
        words = [call for call in self.calls if call.startswith("provider: ")]
        assert words.count("provider: send end") <= self.has_body
        assert words.count("provider: abort") <= 1
        assert "provider: abort" not in words[:-1]
        if "provider: send end" in words:
            after = words[words.index("provider: send end") + 1 :]
            assert not [call for call in after if call.startswith("provider: send")]

    @invariant()
    def no_more_than_the_limit_goes_up(self) -> None:
        sent = sum(len(call) - len("provider: send ") for call in self.calls if call.startswith("provider: send x"))
        assert sent <= self.LIMIT
        if self.received > self.LIMIT:
            assert self.stage.exchange.phase is Phase.ENDED


ExchangeMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=20, deadline=None)
test_any_order_of_events = ExchangeMachine.TestCase
