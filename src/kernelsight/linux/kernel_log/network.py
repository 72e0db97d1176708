"""Messages about networks, and about limits that are met."""

from __future__ import annotations

from kernelsight.linux.kernel_log.kinds import COMM, INTERFACE, MessageKind, Pattern

_DRIVER = r"(?:[\w.-]{1,32} [\da-f:.]{3,20} )?"
"""What netdev_info and dev_info print first: the driver and the device's address."""

KINDS = (
    MessageKind(
        "link_down",
        "An interface has lost its link.",
        (
            Pattern(
                rf"{_DRIVER}{INTERFACE}:? (?:igb: \S+ )?(?:NIC )?[Ll]ink (?:is )?[Dd]own\b",
                "e1000e 0000:00:1f.6 eth0: NIC Link is Down",
                "drivers/net/ethernet: e1000e, igb, ixgbe, i40e, tg3, r8169, bnxt, mlx5; drivers/net/phy/phy.c: "
                "phy_print_status",
            ),
            Pattern(
                r"(?P<place>\S{1,15}): \(slave (?P<interface>\S{1,15})\): (?:link status definitely down|"
                r"link status down)",
                "bond0: (slave eth1): link status definitely down, disabling slave",
                "drivers/net/bonding/bond_main.c: bond_miimon_commit",
            ),
        ),
    ),
    MessageKind(
        "link_up",
        "An interface has its link.",
        (
            Pattern(
                rf"{_DRIVER}{INTERFACE}:? (?:igb: \S+ )?(?:NIC )?[Ll]ink (?:is )?[Uu]p\b",
                "e1000e 0000:00:1f.6 eth0: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx",
                "drivers/net/ethernet: e1000e, igb, ixgbe, i40e, tg3, r8169, bnxt, mlx5; drivers/net/phy/phy.c: "
                "phy_print_status",
            ),
            Pattern(
                rf"IPv6: ADDRCONF\(NETDEV_CHANGE\): {INTERFACE}: link becomes ready",
                "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
                "net/ipv6/addrconf.c: addrconf_notify",
            ),
        ),
    ),
    MessageKind(
        "transmit_timeout",
        "An interface did not send for seconds; its driver resets it.",
        (
            Pattern(
                rf"NETDEV WATCHDOG: (?:CPU: \d+: )?(?:{INTERFACE} \([^)]{{1,32}}\): )?transmit queue \d+ timed out",
                "NETDEV WATCHDOG: eth0 (e1000): transmit queue 0 timed out",
                "net/sched/sch_generic.c: dev_watchdog",
            ),
            Pattern(
                rf"{_DRIVER}{INTERFACE}: NETDEV WATCHDOG: CPU: \d+: transmit queue \d+ timed out",
                "r8169 0000:02:00.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5376 ms",
                "net/sched/sch_generic.c: dev_watchdog (6.6 and later)",
            ),
        ),
    ),
    MessageKind(
        "table_full",
        "A table or a limit of the kernel is full, and what needs a new entry is refused.",
        (
            Pattern(
                r"(?:nf_conntrack: )?(?P<table>nf_conntrack): table full(?: in \S+)?, dropping packet",
                "nf_conntrack: nf_conntrack: table full, dropping packet",
                "net/netfilter/nf_conntrack_core.c: __nf_conntrack_alloc",
            ),
            Pattern(
                r"neighbour: (?P<table>\w{1,32}): neighbor table overflow!",
                "neighbour: arp_cache: neighbor table overflow!",
                "net/core/neighbour.c: neigh_alloc",
            ),
            Pattern(
                r"VFS: (?P<table>file-max) limit (?P<amount>\d+) reached",
                "VFS: file-max limit 1024 reached",
                "fs/file_table.c: alloc_empty_file",
            ),
            Pattern(
                r"cgroup: fork rejected by (?P<table>pids) controller in (?P<cgroup>/.{0,4096})",
                "cgroup: fork rejected by pids controller in /system.slice/worker.service",
                "kernel/cgroup/pids.c: pids_can_fork, pids_event (only the first time of each group)",
            ),
            Pattern(
                r"(?:TCP: )?(?P<table>out of memory) -- consider tuning tcp_mem",
                "TCP: out of memory -- consider tuning tcp_mem",
                "net/ipv4/tcp.c: tcp_check_oom",
            ),
            Pattern(
                r"TCP: too many (?P<table>orphaned) sockets",
                "TCP: too many orphaned sockets",
                "net/ipv4/tcp.c: tcp_check_oom",
            ),
            Pattern(
                r"Route cache is full: consider increasing sysctl net\.ipv6\.(?P<table>route)\.max_size",
                "Route cache is full: consider increasing sysctl net.ipv6.route.max_size.",
                "net/core/dst.c: dst_alloc (before 6.3)",
            ),
            Pattern(
                r"audit: (?P<table>audit)_backlog=\d+ > audit_backlog_limit=\d+",
                "audit: audit_backlog=65 > audit_backlog_limit=64",
                "kernel/audit.c: audit_log_lost, audit_log_start",
            ),
            Pattern(
                rf"mmap: {COMM} \((?P<pid>\d+)\): VmData \d+ exceed (?P<table>data) ulimit",
                "mmap: server (4711): VmData 1048576 exceed data ulimit 524288. Update limits or use boot option "
                "ignore_rlimit_data.",
                "mm/mmap.c: may_expand_vm",
            ),
        ),
    ),
    MessageKind(
        "syn_flood",
        "A listener gets more requests for a connection than it can keep.",
        (
            Pattern(
                r"TCP: request_sock_\w+: Possible SYN flooding on port (?:(?:\[[\da-f:]*\]|[\d.]+):)?(?P<port>\d+)\.",
                "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80. Sending cookies.",
                "net/ipv4/tcp_input.c: tcp_syn_flood_action (before 6.1 without the address)",
            ),
        ),
    ),
)
