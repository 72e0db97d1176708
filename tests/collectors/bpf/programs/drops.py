"""Packets that are dropped for known reasons, in a network namespace of its own."""

import socket
import struct
import sys
import time
from contextlib import suppress

from network import counter, drop, dropped_by_rule, family_of, say, up, wait_until

HOW, ADDRESS = sys.argv[1:]  # one of the functions below, and 127.0.0.1 or ::1
PACKETS, SIZE = 37, 300
UDP = "Udp6" if ":" in ADDRESS else "Udp."


def datagram_socket():
    return socket.socket(family_of(ADDRESS), socket.SOCK_DGRAM)


def send(port):
    """Send the datagrams to a port; that nobody is there does not matter."""
    with datagram_socket() as sender:
        for _ in range(PACKETS):
            with suppress(ConnectionRefusedError):
                sender.sendto(b"x" * SIZE, (ADDRESS, port))


def bound():
    receiver = datagram_socket()
    receiver.bind((ADDRESS, 0))
    return receiver


def filtered():
    """A rule of nftables drops them."""
    with bound() as receiver:
        port = receiver.getsockname()[1]
        drop(f"udp dport {port} counter")
        send(port)
        wait_until(lambda: dropped_by_rule()[0] == PACKETS)
        packets, size = dropped_by_rule()
        say("dropped", packets=packets, bytes=size)


def refused():
    """A rule of nftables drops them before they leave, over seconds in which one may ask whose they are."""
    drop("udp dport 9 counter", hook="output")
    with datagram_socket() as sender:
        for _ in range(PACKETS):
            with suppress(PermissionError):
                sender.sendto(b"x" * SIZE, (ADDRESS, 9))
            time.sleep(0.1)
        say("dropped", packets=dropped_by_rule()[0])


def closed():
    """Nobody receives on the port that they are sent to."""
    with bound() as receiver:
        port = receiver.getsockname()[1]
    send(port)
    wait_until(lambda: counter(f"{UDP}NoPorts") == PACKETS)
    say("dropped", packets=counter(f"{UDP}NoPorts"))


def full():
    """The receiver takes none before all were sent, and its buffer has no room for all."""
    with bound() as receiver:
        receiver.setblocking(False)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send(receiver.getsockname()[1])

        def all_came():
            with suppress(BlockingIOError):
                receiver.recv(SIZE)
            return counter(f"{UDP}InDatagrams") + counter(f"{UDP}RcvbufErrors") == PACKETS

        wait_until(all_came)
        say("dropped", packets=counter(f"{UDP}RcvbufErrors"))


def unread():
    """The receiver is closed with all of them still in its queue: that drops nothing."""
    with bound() as receiver:
        send(receiver.getsockname()[1])
    say("dropped", packets=counter(f"{UDP}RcvbufErrors"))


def again():
    """They were received before, but the sender does not know: TCP finds that out inside of itself."""
    with socket.create_server((ADDRESS, 0), family=family_of(ADDRESS)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((ADDRESS, port)) as client, server.accept()[0]:
            drop(f"tcp sport {port}")
            client.send(b"x")
            wait_until(lambda: counter("Tcp.RetransSegs") >= 3)
            # No more of them after this, as the connection ends with a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        say("dropped", packets=counter("Tcp.RetransSegs"))


say("interface", name=up())
{"filter": filtered, "refused": refused, "closed": closed, "full": full, "unread": unread, "again": again}[HOW]()
