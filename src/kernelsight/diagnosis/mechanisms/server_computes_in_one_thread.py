"""Servers of one thread that compute for long at a time, so that all clients wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

from kernelsight.diagnosis.answers import Served, mean_wait_s, served, times_longer, waits_in
from kernelsight.diagnosis.contention import is_held_back
from kernelsight.diagnosis.cpu_time import Use, cpu_use
from kernelsight.diagnosis.cpu_time import shown as used
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.thread_saturation import THREAD_SATURATION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, shown
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.events.service import ServiceStats
from kernelsight.quantities import quantity

WANTS_SHARE = Threshold(
    0.8,
    "share of a second",
    because="judged: a thread that wants a CPU for so much of a second has no time left to wait for requests",
)
COMPUTES_SHARE = Threshold(
    0.85,
    "CPUs",
    because="judged: one thread can use one CPU at most; the rest is for the moments in which it has nothing to do, "
    "such as between two requests of the client that keeps it busy",
)
ONE_CPU = Threshold(
    1.1, "CPUs", because="calculated: one thread uses one CPU; the rest is for other threads that do little"
)
ONE_THREAD_SHARE = Threshold(
    0.9, "share of the CPU time of its process", because="judged: what the other threads do is not worth a word"
)
KEPT_FROM_CPU_SHARE = Threshold(
    0.15,
    "share of the time that it wanted a CPU",
    because="judged: more, and it would answer noticeably sooner if it had a CPU to itself",
)
LONG_WAIT_S = Threshold(
    0.05,
    "s until an answer",
    because="judged: nobody notices less; 50 clients of a server that needs 1 ms for each request wait 50 ms by "
    "design, as those of a benchmark do",
)
LONGER = Threshold(
    5.0,
    "times as long as before",
    because="judged: well above what requests of one client differ by, and what one or two more clients make of it",
)
WAITS_COMPARED = Threshold(5, "waits before", because="judged: of fewer, a mean says little")
WAITING_SHARE = Threshold(
    0.3,
    "share of the time",
    because="judged: a client that is kept waiting for less has its time for something else",
)
CLIENTS = Threshold(
    2,
    "clients",
    because="a single client may wait for what it asked for itself, which takes as long as it takes",
)
REQUESTS = Threshold(
    5, "requests", because="judged: fewer may be by chance; a server that has time waits for each request"
)


LONG_QUEUE_S = Threshold(
    0.25,
    "s until a request is read",
    because="judged: a server in time reads a request at once; 500 clients of a benchmark that asks as fast as it is "
    "answered wait as long by design",
)


@dataclass(frozen=True, slots=True)
class Computing:
    """A stretch in which a server wanted a CPU all the time while clients waited for its answers."""

    run: Interval
    duration: Duration
    server: Use
    served: Served
    clients: Sequence[int]
    """Those that waited for a good part of the time, the ones that waited longest first."""
    waited_s: float
    """Seconds that these waited together."""
    wait_s: float
    """How long half of them, or more, waited for an answer at least, on average."""
    times_longer: float | None
    """How many times as long as before half of those that are known from before, or more, waited at least."""
    requests_before: float
    """Times before the stretch that a request woke the server, which then had time to wait for it."""
    requests: float
    """Requests that reached it in the stretch, as counted at its sockets; 0 where nobody counts them."""
    queued_s: float | None
    """How long half of the requests, or more, lay there until the server read them; None: not known."""
    unread: float
    """Requests that have come and that the server has not read yet, on average; 0 where nobody counts them."""
    work_times_longer: float | None
    """How many times as much CPU time as before it takes for an answer; None: not known."""
    ran: float
    """CPUs that the server used."""
    kept_from_cpu_share: float
    """Of the time that it wanted a CPU, the share in which it had none."""
    busiest_share: float | None
    """Of its CPU time, the share of its busiest thread; None: not known."""
    held_back: bool
    """Whether a quota holds it back."""

    @property
    def has_more_work(self) -> bool:
        """Whether an answer takes it much more CPU time than before, however much of it others take."""
        return self.work_times_longer is not None and self.work_times_longer >= LONGER

    @property
    def wait_ms(self) -> float:
        """The wait for an answer, in ms."""
        return 1e3 * self.wait_s


def measure(window: Window) -> Iterable[Computing]:
    """Each server and stretch in which it wanted a CPU all the time while clients were kept waiting."""
    servers = window.once(served)
    for use in window.once(cpu_use) if servers else ():
        if use.pid not in servers or use.is_kernel_worker:
            continue
        wanted = {second: use.wanted_in(Interval(second, second)) for second, _ in use.ran.items()}
        for run in runs(wanted, lambda seconds: seconds >= WANTS_SHARE):
            by_client = servers[use.pid].by_client()
            waits = {pid: sum(edge.waited_in(run) for edge in edges) for pid, edges in by_client.items()}
            clients = [pid for pid, seconds in waits.items() if seconds >= WAITING_SHARE * run.seconds]
            if clients:
                clients.sort(key=lambda pid: (-waits[pid], pid))
                yield _computing(window, use, servers[use.pid], run, clients)


def _computing(window: Window, use: Use, of: Served, run: Interval, clients: Sequence[int]) -> Computing:
    usual = run.before
    by_client = of.by_client()
    now = {pid: mean_wait_s(by_client[pid], run) for pid in clients}
    known = [pid for pid in clients if _is_known(by_client[pid], usual)]
    rows = [row for row in window.within(use.rows, run) if isinstance(row, SchedProcess)]
    stats = [row for row in window.within(window.rows(ServiceStats), run) if row.pid == use.pid]
    queued = [row.queue_p50_us for row in stats if row.queue_p50_us is not None]
    most = [row.most_cpu_time_ms for row in rows if row.most_cpu_time_ms is not None]
    return Computing(
        run=run,
        duration=duration_of(window, run),
        server=use,
        served=of,
        clients=clients,
        waited_s=sum(edge.waited_in(run) for pid in clients for edge in by_client[pid]),
        wait_s=median_low(now.values()),
        times_longer=times_longer((now[pid], mean_wait_s(by_client[pid], usual)) for pid in known),
        requests_before=sum(edge.count_in(usual) for edge in of.requests),
        requests=float(sum(row.requests or 0 for row in stats)),
        queued_s=fmean(queued) / 1e6 if queued else None,
        unread=sum(row.unread or 0 for row in stats) / run.seconds,
        work_times_longer=_work_times_longer(window, use, usual, run),
        ran=use.ran_in(run) / run.seconds,
        kept_from_cpu_share=use.queued_in(run) / max(use.wanted_in(run), 1e-9),
        busiest_share=sum(most) / max(1e3 * use.ran_in(run), 1e-9) if most else None,
        held_back=is_held_back(window, use, run),
    )


def _work_times_longer(window: Window, use: Use, usual: Interval, run: Interval) -> float | None:
    """How many times as much CPU time as before a server needs for an answer; None where too few were counted."""
    stats = [row for row in window.rows(ServiceStats) if row.pid == use.pid]
    before, now = (sum(row.answers or 0 for row in window.within(stats, of)) for of in (usual, run))
    if before < WAITS_COMPARED or now < WAITS_COMPARED:
        return None
    return (use.ran_in(run) / now) / max(use.ran_in(usual) / before, 1e-6)


def _is_known(edges: Iterable[Edge], usual: Interval) -> bool:
    return waits_in(edges, usual) >= WAITS_COMPARED


def explain(window: Window, suspect: Computing) -> Explanation:
    """The server answers nobody while it computes."""
    run, server = suspect.run, suspect.server.entity
    by_client = suspect.served.by_client()
    return Explanation(
        culprit=server,
        onset_ns=window.at(run.first),
        victims=tuple(named(window, pid) for pid in _victims(suspect)[:5]),
        does="computes all the time on one CPU",
        detail=f"{100 * suspect.ran:.0f} % of the time",
        harm=f"waits {quantity(suspect.wait_ms, 'ms')} for each answer",
        suffering_s=suspect.waited_s,
        path=path(
            *(_waits(window, by_client[pid], pid, suspect) for pid in _victims(suspect)[:3]),
            *(_asks(window, by_client[pid], pid, suspect) for pid in _newcomers(suspect)[:2]),
            claim(
                f"{server.name} ({server.id}) computed for {suspect.server.ran_in(run):.1f} s of {run.seconds} s, on "
                f"one "
                "CPU at a time",
                used(window, suspect.server, run, "ran"),
            ),
        ),
        refuted_by=f"clients wait as long while {server.name} has nothing to compute",
        outlook="each client waits until what was asked before it is computed; more CPUs make it no faster",
        actions=(LOOK.on(server, f"see what {server.name} computes, and for which of its clients"),),
    )


def _newcomers(suspect: Computing) -> Sequence[int]:
    """Where other clients were there before, those that were not: one of them may ask for what is computed."""
    usual, by_client = suspect.run.before, suspect.served.by_client()
    new = [pid for pid in suspect.clients if not any(edge.count_in(usual) for edge in by_client[pid])]
    return new if len(new) < len(suspect.clients) else ()


def _victims(suspect: Computing) -> Sequence[int]:
    """Clients that are no newcomers."""
    newcomers = {*_newcomers(suspect)}
    return [pid for pid in suspect.clients if pid not in newcomers]


def _waits(window: Window, edges: Sequence[Edge], pid: int, suspect: Computing) -> Step | None:
    client, server = named(window, pid), suspect.server
    usual = suspect.run.before
    earlier = f", and {quantity(1e3 * mean_wait_s(edges, usual), 'ms')} before" if _is_known(edges, usual) else ""
    return claim(
        f"{client.name} ({pid}) waited {quantity(1e3 * mean_wait_s(edges, suspect.run), 'ms')} for each answer of "
        f"{server.comm} ({server.pid}){earlier}",
        shown(window, edges, suspect.run),
        shown(window, edges, suspect.run, Wait.count),
    )


def _asks(window: Window, edges: Sequence[Edge], pid: int, suspect: Computing) -> Step | None:
    client, server = named(window, pid), suspect.server
    return claim(
        f"{client.name} ({pid}) asked {server.comm} ({server.pid}) for something in this time, and not before",
        shown(window, edges, suspect.run, Wait.count),
    )


MECHANISM = Mechanism[Computing](
    fault=THREAD_SATURATION,
    summary="A server answers all its clients in one thread. What some requests have it compute takes long, and the "
    "others wait until it is done.",
    measure=measure,
    checks=(
        Check(
            id="wait_long",
            says="most of its clients wait long for an answer: {wait_ms:.1f} ms",
            holds=lambda suspect: suspect.wait_s >= LONG_WAIT_S,
            supports=1.0,
            refutes=6.0,
            because="judged: nobody is harmed by a server that is as busy and answers in time, such as that of a "
            "benchmark, which asks as fast as it is answered",
        ),
        Check(
            id="waited_less_before",
            says="it is known that the same clients had its answers much sooner before",
            holds=lambda suspect: (
                None
                if suspect.times_longer is None and suspect.queued_s is not None
                else suspect.times_longer is not None and suspect.times_longer >= LONGER
            ),
            supports=2.5,
            refutes=6.0,
            because="judged: who waits for messages that come now and then, or for the result of a long computation, "
            "waits as long as ever. Nothing that is recorded tells these from a request that is not answered, but "
            "the past; without one it is not known",
        ),
        Check(
            id="requests_queue",
            says="requests lie there unread for long while it computes",
            holds=lambda suspect: (
                None
                if suspect.times_longer is not None or suspect.queued_s is None
                else suspect.queued_s >= LONG_QUEUE_S
            ),
            supports=2.0,
            refutes=6.0,
            because="judged: where nothing is known from before, requests that the server has not read yet, though "
            "they have come, wait for what it computes for others; who waits for a result has sent no request that "
            "is unread",
        ),
        Check(
            id="several_wait",
            says="several clients, or several requests of one, are kept waiting",
            holds=lambda suspect: len(suspect.clients) >= CLIENTS or suspect.unread >= 1,
            supports=0.5,
            refutes=6.0,
            because="judged: a single client may have asked for more than before, and waits for what it asked for. One "
            "that has further requests there, which are not read meanwhile, asks for many, as a proxy does",
        ),
        Check(
            id="is_asked",
            says="requests of these clients woke it, when it had time to wait for them, or are counted at its sockets",
            holds=lambda suspect: max(suspect.requests_before, suspect.requests) >= REQUESTS,
            supports=0.5,
            refutes=5.0,
            because="judged: a server waits for requests; who sends by itself what it has computed has receivers, and "
            "no clients",
        ),
        Check(
            id="computes_all_the_time",
            says="it uses one CPU all the time, and no more, or all that it gets, for much more work than before",
            holds=lambda suspect: (suspect.ran >= COMPUTES_SHARE or suspect.has_more_work) and suspect.ran <= ONE_CPU,
            supports=0.5,
            refutes=4.0,
            because="judged: it is what the fault consists of; less, and it waits for something itself, or for a CPU; "
            "more, and it has several threads to answer with",
        ),
        Check(
            id="has_a_cpu",
            says="it has a CPU nearly whenever it wants one, or needs much more of it than before for an answer",
            holds=lambda suspect: suspect.kept_from_cpu_share <= KEPT_FROM_CPU_SHARE or suspect.has_more_work,
            supports=0.5,
            refutes=3.0,
            because="judged: where others take its CPU away, it is slow for want of one (`cpu_saturation`); that "
            "makes no answer more work",
        ),
        Check(
            id="in_one_thread",
            says="one of its threads does all of it",
            holds=lambda suspect: None if suspect.busiest_share is None else suspect.busiest_share >= ONE_THREAD_SHARE,
            supports=0.5,
            refutes=3.0,
            because="judged: several threads that use one CPU together wait for each other (`lock_contention`)",
        ),
        Check(
            id="no_quota",
            says="no quota holds it back",
            holds=lambda suspect: not suspect.held_back,
            supports=0.0,
            refutes=6.0,
            because="judged: most processes are not held back, so it supports nothing; one that may use one CPU "
            "looks the same, and the quota is why (`cpu_throttling`)",
        ),
        LASTS,
    ),
    explain=explain,
)
