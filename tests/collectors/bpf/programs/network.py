"""What the programs share that lose packets in a network namespace of their own (`unshare --net`)."""

import json
import socket
import subprocess
import time
from pathlib import Path


def up():
    """Start the only interface that the namespace has, with packets of the usual size."""
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500", "up"], check=True)


def drop(rule):
    """Drop the incoming packets that a rule of nftables selects."""
    commands = (
        "add table inet lossy",
        "add chain inet lossy incoming { type filter hook input priority 0; }",
        f"add rule inet lossy incoming {rule} drop",
    )
    subprocess.run(["nft", "-f", "-"], input="\n".join(commands), text=True, check=True)


def drop_no_more():
    """Let everything pass again."""
    subprocess.run(["nft", "delete", "table", "inet", "lossy"], check=True)


def dropped_by_rule():
    """Packets and bytes that a rule with a `counter` has dropped so far."""
    listed = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, check=True).stdout
    counters = [
        expression["counter"]
        for item in json.loads(listed)["nftables"]
        for expression in item.get("rule", {}).get("expr", ())
        if "counter" in expression
    ]
    return counters[0]["packets"], counters[0]["bytes"]


def counter(name):
    """One of this namespace's counters, such as `Tcp.RetransSegs` (/proc/net/snmp, /proc/net/netstat)."""
    table, _, column = name.partition(".")
    for file in ("snmp", "netstat"):
        lines = Path("/proc/self/net", file).read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            if names.startswith(f"{table}:") and column in names.split():
                return int(values.split()[names.split().index(column)])
    raise KeyError(name)


def wait_until(what, seconds=20):
    """Poll until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


def family_of(address):
    """The family of an address as text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def say(what, **facts):
    """Print a fact for the test."""
    print(json.dumps({"what": what, **facts}), flush=True)
