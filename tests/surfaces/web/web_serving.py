"""A server of the web pages, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import socket
import time

from processes import PATIENCE_S, environment, running

TOKEN = "a-token-for-the-tests-of-the-pages"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serving(database, *arguments, **variables):
    """A server of its own; its address."""
    port = free_port()
    variables = {"KERNELSIGHT_WEB_TOKEN": TOKEN, **variables}
    with running("serve", "--port", port, "--db-path", database, *arguments, env=environment(**variables)) as process:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert process.poll() is None, process.stderr.read()
        yield f"http://127.0.0.1:{port}"
