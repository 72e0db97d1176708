"""New connections whose packets the kernel drops because its table of tracked connections is full."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.connection_table import LEAST_LOST_PACKETS, FullTable, full_table
from kernelsight.diagnosis.faults.kernel_limit import KERNEL_LIMIT
from kernelsight.diagnosis.kernel_log import said
from kernelsight.diagnosis.limit_answers import limit_entity, remedies, use_claim
from kernelsight.diagnosis.limits import CONNECTION_TABLE, NOT_CALLED
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.window import Window, samples_of
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpRetransmit, TcpRetransmitEvent

_LIMIT = NOT_CALLED[CONNECTION_TABLE]


def measure(window: Window) -> Iterable[FullTable]:
    """The packets that a hook of netfilter dropped, if the table may be why."""
    table = window.once(full_table)
    return () if table is None else (table,)


def explain(window: Window, table: FullTable) -> Explanation:
    """Who asks for a new connection gets none."""
    culprit = limit_entity(_LIMIT)
    or_a_rule = "" if table.is_known else ", or a rule of iptables drops them. How full the table is was not recorded"
    asked = window.evidence(table.requests, TcpRetransmitEvent.segments, "count") or window.evidence(
        samples_of(table.asked_again), TcpRetransmit.syn_retrans, "increase"
    )
    return Explanation(
        culprit=culprit,
        onset_ns=table.onset_ns,
        victims=table.victims,
        does="is reached" if table.is_known else "may be reached",
        detail=f"the table of connections is full, and netfilter dropped {table.lost:,} packets",
        harm="gets no new connection",
        suffering_s=0.0,
        path=path(
            claim(
                f"netfilter dropped {table.lost} packets at {', '.join(table.interfaces)} in {table.seconds} s: the "
                f"table of connections is full{or_a_rule}",
                window.evidence(table.drops, PacketDrop.count, "sum"),
            ),
            claim(f"meanwhile, requests for a connection were retransmitted {table.tries:.0f} times", asked)
            if table.tries
            else None,
            use_claim(window, _LIMIT, table.use),
            *said(window, table.messages),
        ),
        refuted_by=f"as many packets are dropped with a larger limit ({_LIMIT.name}): then a rule drops them",
        outlook="no new connection is made; those in the table go on",
        actions=remedies(_LIMIT, table.use, culprit),
    )


MECHANISM = Mechanism[FullTable](
    fault=KERNEL_LIMIT,
    summary="The kernel's table of tracked connections (nf_conntrack) is full. Netfilter drops the packets of every "
    "new connection.",
    measure=measure,
    prior=Prior(
        1.0,
        because="judged: only packets that a hook of netfilter drops are a suspect; connection tracking drops there, "
        "and no rule of nftables does (nf_hook_slow in net/netfilter/core.c)",
    ),
    checks=(
        Check(
            id="many",
            says=f"{LEAST_LOST_PACKETS:.0f} packets or more are lost",
            holds=lambda table: table.lost >= LEAST_LOST_PACKETS,
            supports=0.0,
            refutes=3.0,
            because="judged: a few lost packets are sent again at once, and a full table drops each new connection",
        ),
        Check(
            id="limit_is_met",
            says=f"{CONNECTION_TABLE} is seen to be met",
            holds=lambda table: table.use.is_met,
            supports=2.5,
            refutes=7.0,
            because="judged: it is the table itself that is read; with room in it, a rule of iptables drops the "
            "packets (`packet_loss`)",
        ),
        Check(
            id="kernel_says_so",
            says="the kernel says that the table is full",
            holds=lambda table: table.is_said,
            supports=3.0,
            refutes=2.0,
            because="the kernel says so of every network namespace, at a limited rate (__nf_conntrack_alloc in "
            "net/netfilter/nf_conntrack_core.c)",
        ),
        Check(
            id="missed_too",
            says="programs miss the packets: they ask for connections again",
            holds=lambda table: table.is_missed_here if table.is_known else None,
            supports=0.5,
            refutes=0.0,
            because="judged: where the table is known to be full, it adds little; the programs may run elsewhere",
        ),
        Check(
            id="missed",
            says="programs miss the packets: they ask for connections again",
            holds=lambda table: None if table.is_known else table.is_missed_here,
            supports=1.0,
            refutes=4.0,
            because="judged: packets that nobody here misses are those of strangers, whom a rule turns away",
        ),
        Check(
            id="most_pass",
            says="most packets pass: connections in the table go on",
            holds=lambda table: None if table.is_known or not table.carried else table.most_pass,
            supports=0.5,
            refutes=1.5,
            because="judged: a full table lets everything pass that it knows; a rule may drop most of what comes",
        ),
    ),
    explain=explain,
)
