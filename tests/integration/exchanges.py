"""What the integration tests say on the wire, and how they read what comes back."""

import re
from typing import Final

import httpx
from tests.fidelity.matrix import BODY, JSON
from tests.gateway_process import BYO

from beyond_ai.testing import GatewayProcess, WireResponse, request

OWN_KEY: Final = (b"Authorization", b"Bearer " + BYO.openai_key.encode())
HOST: Final = (b"Host", b"gateway.test")
ID: Final = re.compile(rb"[0-9a-f]{1,16}-[0-9a-f]+")

Headers = list[tuple[bytes, bytes]]


def post(target: bytes, body: bytes | None = BODY, *, key: tuple[bytes, bytes] | None = OWN_KEY) -> bytes:
    """A whole POST to TARGET, with the client's own key unless KEY says otherwise."""
    return request(b"POST", target, [HOST, JSON, *([key] if key else [])], body)


def get(target: bytes, method: bytes = b"GET", headers: Headers | None = None) -> bytes:
    """A whole request without a body."""
    return request(method, target, [HOST, *(headers or [])])


def id_of(answer: WireResponse) -> str:
    """The request id of ANSWER, which must have exactly one."""
    value = answer.header(b"x-beyond-request-id")
    assert value is not None
    assert ID.fullmatch(value)
    return value.decode()


def check_refusal(answer: WireResponse, status: int, message: str, kind: str = "invalid_request_error") -> str:
    """Check that ANSWER is the gateway's own refusal, in OpenAI's shape; return its request id."""
    assert (answer.status, answer.complete) == (status, True), answer
    assert bytes(answer.body) == b'{"error":{"message":"%b","type":"%b"}}' % (message.encode(), kind.encode())
    assert answer.header(b"x-beyond-error-source") == b"gateway"
    assert answer.header(b"content-type") == b"application/json"
    assert answer.header(b"content-length") == b"%d" % len(answer.body)
    assert answer.header(b"x-beyond-provider") is None
    return id_of(answer)


def metrics(gateway: GatewayProcess) -> dict[str, float]:
    """The metrics page now: sample with its labels, as written, to value."""
    lines = httpx.get(f"{gateway.admin_url}/metrics").text.splitlines()
    samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def logged(gateway: GatewayProcess, request_id: str) -> list[dict[str, object]]:
    """What was logged of the request REQUEST_ID so far."""
    return [entry for entry in gateway.log if entry.get("request_id") == request_id]
