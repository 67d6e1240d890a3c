"""Runs the fidelity matrix: every row, for every kind of key that it holds for."""

from pathlib import Path

import pytest
from tests.fidelity import answers, connections, credentials, requests
from tests.fidelity.matrix import Lab, Promise
from tests.gateway_process import Caller

from beyond_ai.testing import GatewayProcess, ScriptedUpstream

MATRIX = [
    promise
    for group in (answers.GROUP, requests.GROUP, credentials.GROUP, connections.GROUP)
    for promise in group.promises
]
CASES = [(promise, caller) for promise in MATRIX for caller in promise.callers]


@pytest.mark.parametrize(
    ("promise", "caller"), CASES, ids=[f"{promise.group.lower()}:{promise.id}:{caller}" for promise, caller in CASES]
)
async def test_promise(promise: Promise, caller: Caller, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    await promise.check(Lab(gateway, upstream, caller))


def table() -> str:
    """The matrix as the README shows it."""
    rows = [f"| {promise.group} | {promise.text} | {promise.holds_for} | `{promise.id}` |" for promise in MATRIX]
    return "\n".join(["| | promise | keys | row |", "| --- | --- | --- | --- |", *rows])


def test_readme_shows_the_matrix() -> None:
    readme = Path(__file__).with_name("README.md").read_text()
    assert table() in readme, f"put this table into tests/fidelity/README.md:\n{table()}"


def test_ids_are_unique() -> None:
    assert len({promise.id for promise in MATRIX}) == len(MATRIX)
