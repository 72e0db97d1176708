"""Memory with a limit, for measurements: a control group that may have 1 GiB."""

from kernelsight.diagnosis.memory_use import KIB, Domain
from kernelsight.diagnosis.model import Entity
from kernelsight.events.cgroup import Cgroup

GROUP = Domain(
    entity=Entity("cgroup", "/batch", "/batch"),
    limit_kb=1024.0 * KIB,
    left_kb=512.0 * KIB,
    is_group=True,
    rows=(),
    deltas=(),
    holders=(),
    used_share=lambda row: 0.5,
    used=Cgroup.memory_current_bytes,
    used_how="max",
    shared=Cgroup.memory_shmem_bytes,
    shared_kb_of=lambda row: 0.0,
    refaults=(Cgroup.memory_refaults,),
    kills=Cgroup.memory_oom_kills,
)
