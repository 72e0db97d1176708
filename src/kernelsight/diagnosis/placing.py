"""In which control group the target of a proposal is: its command is about that group, or the service that it is."""

from __future__ import annotations

import msgspec

from kernelsight.diagnosis.model import Proposal
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.remedies import remedies
from kernelsight.diagnosis.window import Window


def in_its_group(window: Window, proposal: Proposal) -> Proposal:
    """A proposal with the control group of the process that it is for, where the remedy acts on that."""
    remedy = remedies().get(proposal.action)
    target = proposal.target
    if remedy is None or remedy.controller is None or target.kind != "process" or not target.id.isdecimal():
        return proposal
    process = window.once(processes).get(int(target.id))
    group = process.group_for(remedy.controller) if process else None
    return msgspec.structs.replace(proposal, cgroup=group or "")
