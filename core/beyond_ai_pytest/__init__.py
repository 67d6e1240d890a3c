"""The pytest plugin of Beyond AI: a gateway, a provider, a model and an agent for the tests of plugins.

pytest loads it in every environment that has beyond-ai, so that it imports nothing until a fixture is asked for: what
the fixtures give is in `beyond_ai.testing`, and so are the suites to subclass, `beyond_ai.testing.conformance`.
"""

import socket
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from beyond_ai.testing import AgentRunner, GatewayMaker, ModelMaker, ThreadedUpstream

pytest.register_assert_rewrite("beyond_ai.testing.conformance", "beyond_ai.testing.transport_events")


@pytest.fixture
def beyond_listener() -> Iterator[socket.socket]:
    """The port on which the provider, or the model, behind `beyond_gateway` listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def beyond_upstream(beyond_listener: socket.socket) -> "Iterator[ThreadedUpstream]":
    """The scripted provider behind `beyond_gateway`: queue answers with `play` and `answer`, then look at `requests`.

    A `beyond_ai.testing.ThreadedUpstream`; its loop runs in a thread, so that any test may use it. Do not ask for it
    together with `beyond_model`: both are what is behind the gateway.
    """
    from beyond_ai.testing import ThreadedUpstream

    with ThreadedUpstream(listener=beyond_listener.dup()) as upstream:
        yield upstream


@pytest.fixture
def beyond_model(beyond_listener: socket.socket) -> "Iterator[ModelMaker]":
    """`beyond_model(turn, ...)`: the scripted model behind `beyond_gateway` plays these turns, on all three wires.

    Gives a `beyond_ai.testing.ScriptedModel`, whose `asked` holds what the agent sent; called again, it takes the
    place of the one before. A request without a turn fails the test.
    """
    from beyond_ai.testing.stage import ModelMaker

    with ExitStack() as stack:
        yield ModelMaker(beyond_listener, stack)


@pytest.fixture
def beyond_gateway(beyond_listener: socket.socket, tmp_path: Path) -> "Iterator[GatewayMaker]":
    """`beyond_gateway(**settings)`: the real gateway as a process, on a free port, under these settings.

    All providers that are installed are reached at the port of `beyond_upstream` and `beyond_model`, with pool keys
    that are fake. Gives a `beyond_ai.testing.GatewayProcess` with `url`, `usage`, `log`, and with `key`, a managed key
    that it accepts. Stopped with SIGTERM after the test, which fails unless it exits with 0.
    """
    from beyond_ai.testing.stage import GatewayMaker

    with ExitStack() as stack:
        yield GatewayMaker(beyond_listener, tmp_path, stack)


@pytest.fixture
def beyond_agent(beyond_gateway: "GatewayMaker", tmp_path: Path) -> "AgentRunner":
    """`beyond_agent(task, ..., wire=, files=)`: runs the real agent in a temporary folder, to its end.

    It asks `beyond_model` through a `beyond_gateway` of its own. Gives a `beyond_ai.testing.AgentRun`: exit `code`,
    `events`, `result`, `files`, `stdout` and `stderr`.
    """
    from beyond_ai.testing.stage import AgentRunner

    return AgentRunner(beyond_gateway, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a conformance test that failed which rule it is about."""
    report = yield
    rule_of = getattr(getattr(item, "instance", None), "rule_of", None)
    if report.failed and rule_of is not None:
        report.sections.append(("rule", rule_of(item.name.partition("[")[0])))
    return report
