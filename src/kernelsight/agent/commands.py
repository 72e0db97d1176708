"""The command that does what a finding proposes: the agent's own where there is an action for it."""

from __future__ import annotations

import shlex

import msgspec

from kernelsight.agent.acting.action import Registered, answers
from kernelsight.diagnosis.commands import shell_command
from kernelsight.diagnosis.model import Finding, Proposal


def command(finding: Finding, proposal: Proposal) -> str:
    """What can be pasted into a shell for a proposal; empty where its target's name cannot be typed.

    `kernelsight agent do renice 9622` shows what it would write, and writes it with `--yes`. Where the agent has no
    such action, it is a command of the usual tools.
    """
    for action, answered, asked in answers(finding):
        if answered == proposal:
            return _of_agent(action, proposal, asked)
    return shell_command(finding, proposal)


def _of_agent(action: Registered, proposal: Proposal, asked: msgspec.Struct) -> str:
    target = "machine" if "machine" in action.targets else proposal.target.id
    required = {field.name for field in msgspec.structs.fields(asked) if field.required}
    chosen = [f"{name}={getattr(asked, name)}" for name in asked.__struct_fields__ if name in required]
    words = ["kernelsight", "agent", "do", action.name, target]
    return shlex.join([*words, *(word for pair in chosen for word in ("--set", pair))])
