"""What the process of a worker runs: `python -m beyond_ai.gateway.supervisor.worker TALK LISTENER`.

TALK and LISTENER are descriptors: of the talk with the supervisor, and of the listening socket. A supervisor that is
gone stops its workers: they finish what is under way and leave.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from beyond_ai.config import Settings
from beyond_ai.errors import BeyondError
from beyond_ai.gateway import exchange
from beyond_ai.gateway.assembly import Assembly, assemble
from beyond_ai.gateway.logs import start_logging
from beyond_ai.gateway.publisher import Events
from beyond_ai.gateway.report import plugin_rows, provider_facts, serves_managed
from beyond_ai.gateway.sections import sections
from beyond_ai.gateway.server import ClientServer
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.sockets import fast_loop
from beyond_ai.gateway.supervisor.messages import (
    ORDER,
    Assembled,
    Counted,
    Failed,
    Leave,
    Lines,
    Publish,
    Published,
    Ready,
    Report,
    Retired,
    Rows,
    Start,
    line,
)
from beyond_ai.gateway.supervisor.process import MAX_LINE, SUPERVISORS
from beyond_ai.version import VERSION

BROKEN_OFF: Final = 3
"""The exit code of a worker that the supervisor left alone while it started."""


def main() -> int:
    """Serve until told to leave; the exit code."""
    for number in SUPERVISORS:
        signal.signal(number, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISORS)
    talk, listener = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    for inherited in (talk, listener):
        inherited.set_inheritable(False)
    lines = Lines(talk)
    try:
        start = lines.next()
        assert isinstance(start, Start)
        assembly = _assemble(start, talk, lines)
    except (EOFError, BrokenPipeError):
        return BROKEN_OFF
    except BeyondError as error:
        with contextlib.suppress(OSError):
            talk.sendall(line(Failed(error.message, error.hint, error.exit_code)))
        return error.exit_code
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_serve(assembly, talk, listener))
    return 0


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Other than SIG_IGN, it is not handed on to what a plugin may start."""


def _assemble(start: Start, talk: socket.socket, lines: Lines) -> Assembly:
    """The gateway of this worker, with its row of the shared memory."""

    def rows_for(providers: Sequence[str]) -> SharedRows:
        talk.sendall(line(Assembled(providers)))
        order = lines.next()
        assert isinstance(order, Rows), order
        [descriptor] = lines.descriptors
        return SharedRows(descriptor, order.rows, sections(providers), order.own)

    settings = Settings(**start.values)  # as `load_settings` has made it
    start_logging(settings)
    if not start.first:
        logging.disable(logging.ERROR)  # the first one says it all; what stops the start is reported
    return assemble(settings, rows_for=rows_for)


async def _serve(assembly: Assembly, talk: socket.socket, listener: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=talk, limit=MAX_LINE)

    def tell(report: Report) -> None:
        writer.write(line(report))

    def send_events(events: Events) -> None:
        tell(Counted([(*pair, count) for pair, count in events.items()]))

    server = ClientServer(assembly, VERSION, listener, send_events)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.start()
    logging.disable(logging.NOTSET)
    compiled = not exchange.__file__.endswith(".py")
    tell(Ready(plugin_rows(assembly.registry), provider_facts(assembly), serves_managed(assembly), compiled))
    tasks = [
        asyncio.create_task(_obey(server, reader, tell=tell)),
        asyncio.create_task(_tell_retired(server, tell=tell)),
    ]
    await server.ended()
    for task in tasks:
        task.cancel()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _tell_retired(server: ClientServer, *, tell: Callable[[Report], None]) -> None:
    await server.retired()
    tell(Retired())


async def _obey(server: ClientServer, reader: asyncio.StreamReader, *, tell: Callable[[Report], None]) -> None:
    """Do what the supervisor says, and leave when it is gone."""
    with contextlib.suppress(OSError):
        async for text in reader:
            order = ORDER.validate_json(text)
            if isinstance(order, Publish):
                server.publisher.publish()
                tell(Published(order.number))
            elif isinstance(order, Leave):
                {"retire": server.retire, "stop": server.stop, "cut": server.cut}[order.kind]()
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
