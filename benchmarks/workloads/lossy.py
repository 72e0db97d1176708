"""Loses packets in a network namespace of its own: `drops` (datagrams to a filtered port) or `retransmits`."""

import socket
import subprocess
import sys
import time

DATAGRAMS, CONNECTIONS, SECONDS = 200_000, 300, 2


def drop(rule: str) -> None:
    subprocess.run(["nft", "add", "table", "inet", "lossy"], check=True)
    subprocess.run(["nft", "add chain inet lossy input { type filter hook input priority 0; }"], check=True)
    subprocess.run(["nft", f"add rule inet lossy input {rule} drop"], check=True)


def drops() -> None:
    drop("udp dport 9")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(DATAGRAMS):
            sender.sendto(b"x", ("127.0.0.1", 9))


def retransmits() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(CONNECTIONS)]
        drop(f"tcp dport {server.getsockname()[1]}")
        for client in clients:
            client.sendall(b"x")
        time.sleep(SECONDS)


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
{"drops": drops, "retransmits": retransmits}[sys.argv[1]]()
