"""Messages about hardware: heat, memory, processors, buses, clocks."""

from __future__ import annotations

from kernelsight.linux.kernel_log.kinds import MessageKind, Pattern

KINDS = (
    MessageKind(
        "thermal_throttled",
        "A CPU is too hot, and runs slower.",
        (
            Pattern(
                r"(?:mce: )?CPU(?P<cpu>\d+): (?P<place>Core|Package) temperature (?:is )?above threshold",
                "mce: CPU3: Core temperature above threshold, cpu clock throttled (total events = 17)",
                "drivers/thermal/intel/therm_throt.c: throttle_active_work, therm_throt_process",
            ),
            Pattern(
                r"thermal (?P<place>thermal_zone\d+): .*critical temperature reached",
                "thermal thermal_zone0: x86_pkg_temp: critical temperature reached",
                "drivers/thermal/thermal_core.c: thermal_zone_device_critical",
            ),
        ),
    ),
    MessageKind(
        "memory_error",
        "Memory gave a wrong value; a corrected error (CE) was mended, an uncorrected one (UE) was not.",
        (
            Pattern(
                r"EDAC \S+: (?P<amount>\d+) (?P<error>CE|UE) (?P<place>.{1,120}?) (?:on|\()",
                "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x1 "
                "offset:0x0)",
                "drivers/edac/edac_mc.c: edac_ce_error, edac_ue_error",
            ),
            Pattern(
                r"Memory failure: 0x[\da-f]+: ",
                "Memory failure: 0x12345: recovery action for dirty LRU page: Recovered",
                "mm/memory-failure.c: action_result",
            ),
        ),
    ),
    MessageKind(
        "machine_check",
        "The hardware reports an error of a processor, a cache or memory.",
        (
            Pattern(
                r"(?:mce: )?\[Hardware Error\]: (?:CPU (?P<cpu>\d+): Machine Check|Machine check events logged)",
                "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 5: bea0000000000108",
                "arch/x86/kernel/cpu/mce/core.c: __print_mce, mce_log",
            ),
            Pattern(
                r"(?:\{\d+\})?\[Hardware Error\]: Hardware error from APEI",
                "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
                "drivers/acpi/apei/ghes.c: __ghes_print_estatus",
            ),
        ),
    ),
    MessageKind(
        "bus_error",
        "A device on a PCI bus reports errors of its link.",
        (
            Pattern(
                r"(?:pcieport|\w[\w-]{0,31}) (?P<device>[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.\d): "
                r"(?:AER: |PCIe Bus Error: severity=(?P<error>\w+))",
                "pcieport 0000:00:1c.0: AER: Corrected error received: 0000:02:00.0",
                "drivers/pci/pcie/aer.c: aer_print_error, aer_isr_one_error",
            ),
        ),
    ),
    MessageKind(
        "clock_unstable",
        "The kernel does not trust the clock of its CPUs any more, and uses a slower one.",
        (
            Pattern(
                r"(?:clocksource: )?timekeeping watchdog on CPU(?P<cpu>\d+): Marking clocksource "
                r"'(?P<place>[^']{1,32})' as "
                r"unstable",
                "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is "
                "too large:",
                "kernel/time/clocksource.c: clocksource_watchdog",
            ),
        ),
    ),
    MessageKind(
        "split_lock",
        "A program locks memory across two cache lines; the kernel slows it down.",
        (
            Pattern(
                r"x86/split lock detection: #(?:AC|DB): (?P<comm>.{1,15})/(?P<pid>\d+) took a (?:split|bus)_lock trap",
                "x86/split lock detection: #AC: server/4711 took a split_lock trap at address: 0x55d2d3a1b139",
                "arch/x86/kernel/cpu/bus_lock.c: split_lock_warn (before 6.13 cpu/intel.c)",
            ),
        ),
    ),
)
