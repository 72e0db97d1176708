"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.slab_fills_a_cgroup import GroupSlab

HOLDS = GroupSlab(
    path="/app",
    rows=(),
    slab_bytes=60e6,
    limit_bytes=100e6,
    is_told=True,
    is_pinned=False,
    is_killed=False,
    pressure=(),
    stalled_share=0.05,
    onset_ns=1,
    maker=None,
)
FAILS = {"harms": {"stalled_share": 0.04}}
