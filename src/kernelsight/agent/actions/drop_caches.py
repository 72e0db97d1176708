"""Give back what the page cache holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, WriteOnce
from kernelsight.agent.acting.subject import MachineSubject, RefusedError
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.model import Finding, Proposal


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to drop (Documentation/admin-guide/sysctl/vm.rst, drop_caches)."""

    what: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    """1: clean pages; 2: dentries and inodes; 3: both."""


def answer(finding: Finding, proposal: Proposal) -> Asked | None:
    """A finding proposes it by this name; where dentries and inodes pile up, it is these."""
    if proposal.action != "drop_caches":
        return None
    return Asked(2) if finding.fault == "dentry_or_slab_growth" else Asked()


@action("drop_caches", targets=("machine",), asked=Asked, answers=answer)
def drop_caches(host: Host, subject: MachineSubject, asked: Asked, limits: msgspec.Struct) -> Iterator[Change]:
    """Drop clean pages of the page cache once; nothing is lost, but what is read next comes from the disk again."""
    del subject, limits
    path = host.proc / "sys/vm/drop_caches"
    if not path.exists():
        raise RefusedError(f"{path} is not there")
    yield WriteOnce(path=str(path), value=str(asked.what))
