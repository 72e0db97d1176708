"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from domains import GROUP

from kernelsight.diagnosis.mechanisms.kernel_kills_for_memory import Kills, MemoryUser
from kernelsight.diagnosis.model import Entity

DB = Entity("process", "12", "db")
HOLDS = Kills(where=GROUP.entity, domain=GROUP, rows=(), counted=(), user=MemoryUser(DB, 0.3 * GROUP.limit_kb, None))
FAILS = {"used_much": {"user": MemoryUser(DB, 0.29 * GROUP.limit_kb, None)}}
