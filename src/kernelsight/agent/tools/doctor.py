"""What this machine allows to be recorded."""

from __future__ import annotations

from dataclasses import asdict

from kernelsight.agent.sanitising import Data
from kernelsight.agent.tool import Desk, tool
from kernelsight.collectors.base import Host
from kernelsight.collectors.capabilities import examine


@tool
def doctor(desk: Desk) -> Data:
    """Examine what can be recorded here and by this user, and what to do about the rest: why a table is empty."""
    del desk
    examination = examine(Host())
    return {"missing": list(examination.missing), "machine": [asdict(fact) for fact in examination.facts]}
