"""What `python` is in tests: it has the fork server start a command line, and ends as that ends.

    python -I -S fork_client.py SOCKET PYTHON [-m MODULE | -c CODE | SCRIPT] ...

Where the server refuses, this becomes PYTHON itself.
"""

import marshal
import os
import signal
import socket
import sys

HANDED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def main(address: str, python: str, *argv: str) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    request = marshal.dumps((argv, os.getcwd(), dict(os.environ)))
    socket.send_fds(server, [len(request).to_bytes(4)], [0, 1, 2])
    server.sendall(request)
    for number in HANDED_ON:
        signal.signal(number, lambda number, _: server.send(bytes([number])))
    answer = server.recv(7)
    for number in HANDED_ON:
        signal.signal(number, signal.SIG_DFL)
    if answer == b"refused":
        os.execv(python, [python, *argv])
    if not answer:
        sys.exit("the fork server has ended")
    code = os.waitstatus_to_exitcode(int.from_bytes(answer))
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


main(*sys.argv[1:])
