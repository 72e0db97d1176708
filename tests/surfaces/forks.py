"""Commands without their imports: a server that has imported the package forks a process for each command.

The imports are most of what a command takes. What is forked is a real process with descriptors, a directory and an
environment of its own, and it ends as Python ends. What the imports do, and what the interpreter reads when it
starts (its options, `PYTHON*`, the locale), is not tested this way.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache

READ_AT_START = ("LANG", "LC_", "PYTHON")
"""How the names of the variables begin that the interpreter reads when it starts."""
REQUEST_BYTES = 1 << 17
HEAVY = ("kernelsight.agent.gemini.client", "kernelsight.agent.reasoners.gemini", "kernelsight.surfaces.mcp")
"""What imports the libraries of a model or of MCP, which few commands need."""


def may_fork(environment: dict[str, str]) -> bool:
    """Whether a process that is started in this environment begins as a fork of the server does."""
    names = {name for name in {*environment, *os.environ} if name.startswith(READ_AT_START)}
    return all(environment.get(name) == os.environ.get(name) for name in names)


def run(arguments: list[str], *, env: dict[str, str], timeout: float, cwd: str | os.PathLike[str] | None = None):
    """What `subprocess.run` gives for `kernelsight` with these arguments and `capture_output` and `text`."""
    request = {"arguments": arguments, "environment": env, "directory": os.fspath(cwd or os.getcwd())}  # noqa: PTH109
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, its:
            descriptors = [0, output.fileno(), errors.fileno(), its.fileno()]
            socket.send_fds(_server(), [json.dumps(request).encode()], descriptors)
            its.close()
            pid = int(ours.recv(32))
            ours.settimeout(timeout)
            try:
                code = int(ours.recv(32))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                ours.settimeout(None)
                ours.recv(32)
                raise subprocess.TimeoutExpired(arguments, timeout, _text(output), _text(errors)) from None
        return subprocess.CompletedProcess(arguments, code, _text(output), _text(errors))


def _text(file) -> str:
    file.seek(0)
    return io.TextIOWrapper(io.BytesIO(file.read())).read()


@cache
def _server() -> socket.socket:
    """The server's socket; the server ends when this process, the only one to hold it, has ended."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process with one thread forks safely
        command = [sys.executable, __file__, str(its.fileno())]
        process = subprocess.Popen(command, env=environment, pass_fds=[its.fileno()])

    def stop() -> None:
        ours.close()
        process.wait()

    atexit.register(stop)
    return ours


# --- the server ------------------------------------------------------------------------------------------


def serve(requests: socket.socket) -> list[str]:
    """Fork a process for each request; returns in each of these, with the arguments of its command."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 4)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            return _kept(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _kept(request: dict, descriptors: list[int]) -> list[str]:
    """Fork once more: the child returns to run the command, this process says how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, status = descriptors
    pid = os.fork()
    if pid:
        told = socket.socket(fileno=status)
        told.send(str(pid).encode())
        told.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os._exit(0)
    os.close(status)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = map(_reopened, (sys.stdin, sys.stdout, sys.stderr), range(3))
    os.chdir(request["directory"])
    for name in set(os.environ) - set(request["environment"]):
        del os.environ[name]
    os.environ.update(request["environment"])
    time.tzset()
    return request["arguments"]


def _reopened(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    """A standard stream as the interpreter makes it for what the descriptor is now."""
    raw = open(number, "rb" if number == 0 else "wb", closefd=False)  # noqa: SIM115
    lines = number == 2 or raw.isatty()
    return io.TextIOWrapper(raw, encoding=stream.encoding, errors=stream.errors, line_buffering=lines)


def _import_all() -> None:
    import kernelsight

    for module in pkgutil.walk_packages(kernelsight.__path__, "kernelsight."):
        if not module.name.endswith("__main__") and not module.name.startswith(HEAVY):
            importlib.import_module(module.name)


if __name__ == "__main__":
    connection = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    gc.freeze()  # so that what is shared with the forks stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    words = serve(connection)
    sys.argv = ["kernelsight", *words]
    try:
        importlib.import_module("kernelsight.surfaces.cli.main").main(prog_name="kernelsight")
    except SystemExit as end:
        if not isinstance(end.code, int) or threading.active_count() > 1:
            raise
        # As multiprocessing ends what it forks: to take all modules apart costs more than the command.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code)
