"""What the programs share that lose packets in a network namespace of their own (`unshare --net`)."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path


def up():
    """Start the only interface that the namespace has, with packets of the usual size; its name is no other's."""
    name = f"lo{os.getpid()}"
    subprocess.run(["ip", "link", "set", "lo", "name", name, "mtu", "1500", "up"], check=True)
    return name


def drop(rule, hook="input"):
    """Drop the packets that a rule of nftables selects, as they come in, or on the way out."""
    commands = (
        "add table inet lossy",
        f"add chain inet lossy {hook} {{ type filter hook {hook} priority 0; }}",
        f"add rule inet lossy {hook} {rule} drop",
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
    """One of this namespace's counters, such as `Tcp.RetransSegs` (snmp, netstat) or `Udp6NoPorts` (snmp6)."""
    table, _, column = name.partition(".")
    if not column:
        lines = Path("/proc/self/net/snmp6").read_text().splitlines()
        return int(dict(line.split() for line in lines)[name])
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
