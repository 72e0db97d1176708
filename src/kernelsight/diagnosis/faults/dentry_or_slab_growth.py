"""The class `dentry_or_slab_growth`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

DENTRY_OR_SLAB_GROWTH = FaultClass(
    "dentry_or_slab_growth",
    meaning="The kernel's own objects (slab, such as dentries) grow until no memory is left on the machine or in a "
    "group.",
    needs=("memory|cgroup",),
    parts=("memory",),
    traits=Traits(uses_up=True),
    governed_by=("vm.vfs_cache_pressure", "vm.min_free_kbytes"),
)
