"""Give back what the page cache holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, WriteOnce
from kernelsight.agent.acting.subject import MachineSubject, RefusedError
from kernelsight.collectors.base import Host


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to drop (Documentation/admin-guide/sysctl/vm.rst, drop_caches)."""

    what: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    """1: clean pages; 2: dentries and inodes; 3: both."""


@action("drop_caches", targets=("machine",), asked=Asked)
def drop_caches(host: Host, subject: MachineSubject, asked: Asked, limits: msgspec.Struct) -> Iterator[Change]:
    """Drop clean pages of the page cache once; nothing is lost, but what is read next comes from the disk again."""
    del subject, limits
    path = host.proc / "sys/vm/drop_caches"
    if not path.exists():
        raise RefusedError(f"{path} is not there")
    yield WriteOnce(path=str(path), value=str(asked.what))
