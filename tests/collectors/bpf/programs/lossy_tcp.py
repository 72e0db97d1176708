"""TCP that has to send again, in a network namespace of its own."""

import fcntl
import os
import resource
import signal
import socket
import sys
import termios
from contextlib import contextmanager

from network import counter, drop, drop_no_more, family_of, say, up, wait_until

HOW, ADDRESS = sys.argv[1:]  # one of the functions below, and 127.0.0.1 or ::1


def ends(sock):
    """Both ends' addresses as an event has them."""
    return [*sock.getsockname()[:2], *sock.getpeername()[:2]]


def listening():
    return socket.create_server((ADDRESS, 0), family=family_of(ADDRESS))


def connected(server):
    """A connection: the client's end here, the server's in a child process of its own."""
    client = socket.socket(family_of(ADDRESS))
    if (child := os.fork()) == 0:
        client.close()
        os.close(sys.stdout.fileno())
        signal.alarm(60)  # should the parent fail
        with server.accept()[0] as peer:
            while peer.recv(1 << 16):
                pass
        os._exit(0)
    client.connect(server.getsockname()[:2])
    return client, child


def until_sent_again(times, *clients):
    """Let segments pass when so many were sent again, and wait until all that these clients sent has arrived."""
    wait_until(lambda: counter("Tcp.RetransSegs") >= times)
    drop_no_more()
    wait_until(lambda: not any(unacknowledged(client) for client in clients))


def unacknowledged(client):
    """Bytes that were sent and may have to be sent again (SIOCOUTQ, tcp(7))."""
    return int.from_bytes(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def summary():
    """Say how many segments were sent again in all; an attempt that failed at once sent nothing."""
    say(
        "sent again",
        segments=counter("Tcp.RetransSegs") - counter("TcpExt.TCPRetransFail"),
        failed=counter("TcpExt.TCPRetransFail"),
        syns=counter("TcpExt.TCPSynRetrans"),
    )


@contextmanager
def cut_off():
    """A connection over which nothing arrives at the server any more: the client's socket, and the server's port."""
    with listening() as server:
        client, child = connected(server)
        port = server.getsockname()[1]
        drop(f"tcp dport {port}")
        say("client", ends=ends(client), pid=os.getpid())
        yield client, port
        client.close()
        os.waitpid(child, 0)


def data():
    """What the client sends does not arrive for a while."""
    with cut_off() as (client, _):
        client.setblocking(False)
        client.send(b"x" * 50_000)  # what there is room for
        until_sent_again(2, client)


def refused():
    """What the client sends does not arrive, and then for a while it cannot even be sent again."""
    with cut_off() as (client, port):
        client.send(b"x")
        wait_until(lambda: counter("Tcp.RetransSegs") > 0)
        drop(f"tcp dport {port}", hook="output")
        wait_until(lambda: counter("TcpExt.TCPRetransFail") > 0)
        until_sent_again(2, client)


def close():
    """The client closes before what it sent has arrived: its socket belongs to nobody then."""
    with cut_off() as (client, _):
        client.send(b"x")
        client.close()
        until_sent_again(2)


def connect():
    """The answer to the client's SYN does not arrive for a while; the one who listens is another process."""
    with listening() as server:
        port = server.getsockname()[1]
        drop(f"tcp sport {port} tcp flags & (syn | ack) == (syn | ack)")
        if (child := os.fork()) == 0:
            signal.alarm(60)
            server.close()
            with socket.create_connection((ADDRESS, port)) as client:
                say("client", ends=ends(client), pid=os.getpid())
            os._exit(0)
        say("server", pid=os.getpid())
        until_sent_again(3)
        with server.accept()[0]:
            os.waitpid(child, 0)


def storm():
    """Many connections send again at once, more often than there is room for."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with listening() as server:
        port = server.getsockname()[1]
        say("server", port=port)
        server.listen(2000)
        clients = [socket.create_connection((ADDRESS, port)) for _ in range(1500)]
        drop(f"tcp dport {port}")
        for client in clients:
            client.sendall(b"x")
        until_sent_again(4500, *clients)
        for client in clients:
            client.close()


up()
{"data": data, "refused": refused, "close": close, "connect": connect, "storm": storm}[HOW]()
summary()
