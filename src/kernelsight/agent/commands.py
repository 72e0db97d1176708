"""The command that does what a finding proposes: the agent's own where there is an action for it."""

from __future__ import annotations

import shlex

import msgspec

from kernelsight.agent.acting.action import Registered, answers
from kernelsight.agent.acting.subject import controller_mount
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.commands import shell_command
from kernelsight.diagnosis.model import Finding, Proposal
from kernelsight.diagnosis.shell import UNIFIED, Hierarchies, Hierarchy

_V1_NAMES = {"io": "blkio"}


def command(finding: Finding, proposal: Proposal) -> str:
    """What can be pasted into a shell for a proposal; empty where its target's name cannot be typed.

    `kernelsight agent do renice 9622` shows what it would write, and writes it with `--yes`. Where the agent has no
    such action, it is a command of the usual tools.
    """
    for action, answered, asked in answers(finding):
        if answered == proposal:
            return _of_agent(action, proposal, asked)
    return shell_command(finding, proposal, hierarchies(Host()))


def hierarchies(host: Host) -> Hierarchies:
    """Where the control groups of each controller are on a machine; as usual for those that it does not have."""
    mounts = {
        name: controller_mount(host, _V1_NAMES.get(name, name)) or controller_mount(host, name) for name in UNIFIED
    }
    return {
        name: Hierarchy(str(mount.point), mount.version) if mount else UNIFIED[name] for name, mount in mounts.items()
    }


def _of_agent(action: Registered, proposal: Proposal, asked: msgspec.Struct) -> str:
    target = "machine" if "machine" in action.targets else proposal.target.id
    usual = {field.name: field.default for field in msgspec.structs.fields(asked)}
    chosen = [f"{name}={given}" for name in usual if (given := getattr(asked, name)) != usual[name]]
    words = ["kernelsight", "agent", "do", action.name, target]
    return shlex.join([*words, *(word for pair in chosen for word in ("--set", pair))])
