"""Agents without their start: a process that has imported everything forks one for each that is asked for.

A start takes a third of a second, most of it imports, and the tests start agents by the hundred. What is forked is a
process of its own all the same, with the folder, the environment, the descriptors and the signals of its caller.
As a program, `nursery.py SOCKET` is the nursery; `cradle.py SOCKET words...` stands for `beyond-ai words...`.
"""

import json
import os
import signal
import socket
import sys


def main(path: str) -> None:
    """Listen at PATH, and fork for whoever connects."""
    import httpx  # noqa: F401 - what a run imports later

    import beyond_ai.agent.run.assembly
    import beyond_ai.agent.run.program
    import beyond_ai.cli.agent  # noqa: F401
    from beyond_ai.registry import PluginPolicy, load

    load(["tool"], PluginPolicy())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                keep(connection)
            connection.close()


def keep(connection: socket.socket) -> None:
    """Fork the agent that CONNECTION asks for, pass signals on to it, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    pid = os.fork()
    if pid == 0:
        connection.close()
        become(json.loads(message), descriptors)
    for descriptor in (0, 1, 2, *descriptors):
        os.close(descriptor)
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(request: dict[str, object], descriptors: list[int]) -> None:
    """Be `beyond-ai`, as REQUEST says."""
    code = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.setpgid(0, 0)
        os.chdir(str(request["cwd"]))
        os.environ.clear()
        os.environ.update(request["environ"])  # type: ignore[call-overload]
        sys.argv = ["beyond-ai", *request["words"]]  # type: ignore[misc]
        from beyond_ai.cli import main as beyond_ai

        beyond_ai()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
