"""The class `kernel_limit`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

KERNEL_LIMIT = FaultClass(
    "kernel_limit",
    meaning="Calls fail, or packets are dropped, because as many objects of one kind exist as the kernel allows.",
    needs=("syscall_error|packet_drop",),
    traits=Traits(uses_up=True),
    governed_by=(
        "fs.*",
        "kernel.keys.*",
        "kernel.msg*",
        "kernel.sem",
        "kernel.shm*",
        "net.netfilter.*",
        "net.ipv4.tcp_mem",
        "user.max_*",
        "vm.max_map_count",
    ),
)
