"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.hanging import Hanging

HOLDS = Hanging(
    cause="served",
    place="/mnt/share",
    mounts=("/mnt/share",),
    is_idle=True,
    calls_storage=True,
    onset_ns=3_000_000_000,
    rows=(),
    device=None,
    stuck=None,
)
FAILS = {
    "place_known": {"place": "", "mounts": ()},
    "calls_storage": {"calls_storage": False},
}
