"""What an installation costs: distributions, resident memory, and the time to start (reported only)."""

import sys
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.gateway_process import gateway_config, resident_of, workers_of

from beyond_ai.testing import GatewayProcess

MAX_DISTRIBUTIONS = 45
MAX_RESIDENT = 64 << 20
"""Of one process; supervisor and worker share some of it."""


def required(name: str, extras: frozenset[str] = frozenset()) -> set[tuple[str, frozenset[str]]]:
    """The distributions that NAME with EXTRAS needs in this environment, each with the extras asked for."""
    found: set[tuple[str, frozenset[str]]] = set()
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            found.add((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def test_a_plain_install_is_small() -> None:
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = {("beyond-ai", frozenset[str]())}
    while waiting:
        seen |= waiting
        waiting = {needed for name, extras in waiting for needed in required(name, extras)} - seen
    names = {name for name, _ in seen}
    assert {"fastapi", "httptools", "h2", "pydantic-core"} <= names, "the closure was not followed"
    assert not {"pytest", "openai", "anthropic"} & names
    assert len(names) <= MAX_DISTRIBUTIONS, sorted(names)


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_an_idle_gateway_is_small(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    started = time.monotonic()
    with GatewayProcess(gateway_config("127.0.0.1:9", "127.0.0.1:9"), folder=tmp_path) as gateway:
        record_property("ready_seconds", round(time.monotonic() - started, 2))
        assert httpx.get(gateway.url).status_code == 200
        held = [resident_of(pid) for pid in (gateway.process.pid, *workers_of(gateway))]
    record_property("resident_bytes", held)
    assert len(held) == 2
    assert max(held) < MAX_RESIDENT
