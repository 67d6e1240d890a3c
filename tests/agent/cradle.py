"""`python -I -S cradle.py SOCKET words...` is `beyond-ai words...`, forked by the nursery at SOCKET; see there."""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Have it forked, pass signals on, end as it ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    with socket.socket(socket.AF_UNIX) as nursery:
        nursery.connect(sys.argv[1])
        request = {"cwd": os.getcwd(), "environ": dict(os.environ), "words": sys.argv[2:]}
        socket.send_fds(nursery, [json.dumps(request).encode()], [0, 1, 2])
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        with nursery.makefile() as said:
            pid = int(said.readline())
            for number in PASSED_ON:
                signal.signal(number, lambda caught, _frame: os.kill(pid, caught))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
            code = int(said.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


main()
