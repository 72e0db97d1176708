"""What a proposal is in a shell: a command that can be pasted, to do it or to look first."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from kernelsight.diagnosis.model import EntityKind, Finding, Proposal
from kernelsight.printable import printable

Commands = Callable[[Finding, Proposal], str]
"""The command of a finding's proposal; empty where there is none."""

_PARAMETER = re.compile(r"\b(?:net|vm|kernel|fs|user)(?:\.[a-z0-9_-]+)+")
_RAISE = re.compile(rf"raise ({_PARAMETER.pattern}) to (\d+)")
_PORT = re.compile(r"\d{1,5}")

_DO: Mapping[tuple[str, EntityKind], str] = {
    ("renice", "process"): "renice -n 10 -p {id}",
    ("renice", "program"): "pgrep -x {pattern} | xargs -r renice -n 10 -p",
    ("ionice", "process"): "ionice -c 3 -p {id}",
    ("ionice", "program"): "pgrep -x {pattern} | xargs -r ionice -c 3 -p",
    ("limit_io", "process"): "ionice -c 3 -p {id}",
    ("raise_limit", "cgroup"): "systemd-cgtop -n 1 {id}",
    ("raise_limit", "process"): "prlimit -p {id}",
    ("raise_limit", "limit"): "prlimit",
}
_LOOK: Mapping[EntityKind, str] = {
    "process": "ps -o pid,ppid,user,nice,stat,wchan:24,etime,args -p {id}",
    "program": "pgrep -ax {pattern}",
    "cgroup": "systemd-cgls -l {id}",
    "device": "kernelsight query range block --where device_name={id} --since 5m",
    "mount": "du -xh -d 2 {id} | sort -h | tail -n 20",
    "interface": "ip -s link show dev {id}",
    "rule": "nft list ruleset",
    "limit": "kernelsight query range limit_holders --where limit_name={id} --since 5m",
    "machine": "kernelsight signals --since 10m",
}
"""By what the proposal is about, where it says no more than to look."""


def shell_command(finding: Finding, proposal: Proposal) -> str:
    """A command of the usual tools for a proposal; empty where its target's name cannot be typed."""
    del finding
    target = proposal.target
    if printable(target.id) != target.id or printable(target.name) != target.name or target.id.startswith("-"):
        return ""
    if proposal.action == "sysctl":
        if new := _RAISE.search(proposal.text):
            return f"sysctl -w {new[1]}={new[2]}"
        names = [*dict.fromkeys(_PARAMETER.findall(proposal.text))]
        return " ".join(["sysctl", *names]) if names else ""
    if target.kind == "listener":
        port = _PORT.search(target.id.rpartition(":")[2] or target.id)
        return f"ss -ltunp sport = :{port[0]}" if port else "ss -ltunp"
    template = _DO.get((proposal.action, target.kind)) or _LOOK[target.kind]
    return template.format(id=shlex.quote(target.id), pattern=shlex.quote(re.escape(target.name)))
