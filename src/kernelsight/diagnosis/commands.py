"""What a proposal is in a shell: a command that can be pasted, to do it or to look first."""

from __future__ import annotations

from collections.abc import Callable

from kernelsight.diagnosis.model import Finding, Proposal
from kernelsight.diagnosis.remedies import LOOK, remedies
from kernelsight.diagnosis.shell import UNIFIED, Hierarchies, NotTypedError, Shell, word
from kernelsight.printable import printable

Commands = Callable[[Finding, Proposal], str]
"""The command of a finding's proposal; empty where there is none."""


def shell_command(finding: Finding, proposal: Proposal, hierarchies: Hierarchies = UNIFIED) -> str:
    """A command of the usual tools for a proposal.

    Args:
        finding: whose proposal it is.
        proposal: of a kind that :mod:`kernelsight.diagnosis.remedies` declares. Of another kind, as earlier versions
            recorded them, the command only looks at the target.
        hierarchies: where the control groups are on the machine where it is typed.

    Returns:
        empty where a name cannot be typed.
    """
    del finding
    remedy = remedies().get(proposal.action)
    if remedy is None or remedy.wrong_with(proposal):
        remedy = LOOK
    try:
        word(proposal.target.id)
        if printable(proposal.target.name) != proposal.target.name:
            return ""
        return remedy.commands[proposal.target.kind](Shell(proposal, hierarchies))
    except NotTypedError:
        return ""
