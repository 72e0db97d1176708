"""The words that questions are made of: forms of one word, words that carry no meaning here, and misspelled ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from kernelsight.events.wire import kinds

WORD = re.compile(r"[\w./:@+-]+")
_LEAST_MISSPELLED = 5
"""Shorter words are too near to others to be corrected."""
_LONG = 8
"""Words of so many letters may have two mistakes."""

_FORMS = """
access: accesses accessing accessed
be: is are was were am been being
do: did does doing done
have: has had having
go: goes going went gone
use: used uses using usage
eat: ate eats eating eaten eater eaters
consume: consumed consumes consuming
lose: lost loses losing
average: avg mean typical averaged
block: blocked blocking blocks
break: broke breaks breaking broken
change: changed changes changing
compare: compared comparing comparison versus vs
connection: conn conns connections connect connected
core: cores
cpu: cpus processor processors
crash: crashed crashes crashing
deadlock: deadlocked deadlocks deadlocking
descriptor: descriptors
die: died dies dying dead
differ: different difference differences differed
disk: disks hdd hdds ssd ssds harddisk drive drives volume volumes
drop: dropped drops dropping
error: errors erroring
exceed: exceeded exceeds exceeding
exit: exited exits exiting terminated
fail: failed failing fails failure failures
fault: faults faulted faulting
fd: fds
file: files
fill: filled filling fills
finish: finished ended end ends
fork: forked forking forks spawn spawned spawning spawns
freeze: frozen froze freezes freezing
full: fuller
grow: grew growing grows grown
hang: hung hanging hangs
happen: happened happening happens occur occurred
highest: peak peaked maximum max highest peaks
hold: holds holding holder held
inode: inodes
interface: interfaces nic nics
io: i/o ios
iops: iop
kill: killed killer killing kills
latency: latencies latence
leak: leaked leaking leaks leaky leakage
least: fewest
limit: limits ulimit ulimits rlimit nofile
list: listed lists
load: loads loaded
lock: locked locks locking
lowest: minimum min smallest
memory: mem memories ram
most: heaviest largest biggest greatest hungriest
mount: mounts mounted mountpoint mountpoints partition partitions
network: networks net networking
oom: ooms oomkill oomkilled oom-kill oom-killed oom-killer oom-kills
packet: packets
percentile: percentiles
problem: problems issue issues trouble troubles
process: processes proc procs program programs application applications
queue: queues queued queueing
receive: received receives receiving incoming
read: reads reading reader readers
restart: restarted restarts restarting respawned rebooted
retransmit: retransmits retransmitted retransmission retransmissions retransmitting retrans resent
run: running runs ran
sent: send sends sending
service: services
slow: slower sluggish slowness laggy lagging slowed slowdown unresponsive
slowest: longest
socket: sockets
space: room
stall: stalled stalls stalling
start: started starts starting begin began begun
starve: starved starving starvation
steal: steals stolen
stop: stopped stops stopping
stuck: jammed wedged
swap: swaps swapped
swapping: paging thrashing thrash
switch: switches switching switched
syscall: syscalls
task: tasks
thread: threads
throttle: throttled throttles throttling
throughput: bandwidth speed speeds
total: sum overall altogether
traffic: transfer
transmit: transmitted transmits
wait: waited waiting waits
write: writes writing writer writers written wrote
zombie: zombies defunct
"""

_FILLER = """
choose chose chosen pick picked
fullest emptiest widest
segment segments frame frames byte-wise somewhere roughly port ports listening listen
% a abnormal about above accept accepting actually affected after again against ago ahead alive all allocate
allocated allocating almost alright also always am amount amounts an and annual anomalies anomalous anomaly any
anybody anymore anyone anything api app are aren't around as at available average away b back backend bad badly be
because became become been before behave behaved behaving being below best between big bit blame blamed boot booted box
burn burned burning busiest busy but by byte bytes came can cause caused causing cgroup cgroups climb climbed
climbing close come compute computer consume consumed consumer consumers consuming container containers could count
culprit current currently daemon data database day db diagnose did didn't dies dip dns do does doesn't doing don't
done down due during each eat eaten eating eats else ended enough entire entirely evening event events ever every
everything exactly exceed exhaust exhausted exhausting exist existing exists expected experience experienced
experiencing explain failing fall falling fast faster fell few fewer field figure find fine first for forecast free
from frontend g gave gb get gets getting gib give go goes going gone good got greater group groups guilty h had half
happen happening has hasn't have haven't having health healthy heavily heavy here high higher hit hits hitting hog
hogged hogging hogs hold host hour how how's http https hungry hurting i i'm idle if in incident incidents increase
increased increasing instance interesting into is isn't it it's its itself just k kb kbps keep kernel kib kind know
last late lately later latest left less let like likely linux local localhost long look looks lose loses losing lost
lot lots low lower m machine made mail main major make makes making many matter max maximum may mb mbps me median
meet mib mine minimum minute minutes moment more morning most ms much my near nearly need needs new night no node
noon normal not now ns number numbers occur odd of off offender offenders often ok okay old on once one ones only
open or os our out over overall overflow overflowed overflows overloaded own p50 p90 p95 p99 p99.9 p999 past peak
people per percent percentage perform performance performing period pid please point possible predict pretty prevent
previous primary problematic put quantity quickly quite rank ranked ranking rate rather reach reached reaches really
reason reboot receive received recent recently refuse refused remain remained remaining remains report reset resets
resident responsible right rise rising root rose runnable s said same saturated saw say second seconds see seeing
seem seemingly seems seen server service several shall share she should show shows side since single site sitting
size slow so some somebody someone something soon sort spend spending spends spent spike spiked spikes spiking ssh
state status stay still strange struggle struggling such suddenly suffer suffered suffering summary sure system tail
take taken takes taking tb tell than that the their them then there there's these they thing things this those
through time times to today too took top toward trigger triggered unavailable under underway until till unusual
up upper us usage use used user user-visible users using usually utilised utilization utilized value values very
victim vm
was wasn't we web website weird well went were what what's whats when whenever where whether which while who who's
whom whos whose why will with within without working worst worth would wrong x yes yesterday yet you your yourself
"""
FILLER = frozenset(_FILLER.split())
"""Words that ask, join or measure. What they ask is known from the whole question; alone they name nothing."""

COMMON = FILLER - {"web", "db", "database", "app", "api", "backend", "frontend", "daemon", "node", "x", "mail", "dns",
                   "ssh", "http", "linux", "service", "server"}  # fmt: skip
"""Words of every question, which some program may be called as well."""


@cache
def forms() -> Mapping[str, str]:
    """Each form of a word, and the word."""
    known: dict[str, str] = {}
    for line in _FORMS.strip().splitlines():
        base, _, others = line.partition(": ")
        known[base] = base
        known.update(dict.fromkeys(others.split(), base))
    return known


def plain_word(word: str) -> str:
    """A word in its plain form: small, singular, without tense where that is known."""
    word = word.lower()
    known = forms()
    if word in known:
        return known[word]
    single = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    return known.get(single, single)


def plain_phrase(text: str) -> tuple[str, ...]:
    """The words of a phrase in their plain form."""
    return tuple(plain_word(word) for word in re.split(r"[\s_-]+", text) if word)


@cache
def meaning() -> frozenset[str]:
    """All words in their plain form that mean something here: those with forms, and those that columns are called."""
    spoken = (column.spoken.names for kind in kinds().values() for column in kind.columns if column.spoken is not None)
    return frozenset(forms().values()) | {
        word for names in spoken for name in names for word in plain_phrase(name)
    }  # fmt: skip


def is_known(word: str) -> bool:
    """Whether a word means something here, or is one that carries no meaning."""
    return word.lower() in FILLER or plain_word(word) in meaning() or plain_word(word) in FILLER


def misspelled(word: str, names: Iterable[str]) -> str | None:
    """The word or name that is meant by one that is not known; None where none or several are near.

    Digits are no mistakes: `vdb` is not `vda`, and `web1` is not `web2`.
    """
    if len(word) < _LEAST_MISSPELLED or not word.isalpha():
        return None
    lower = word.lower()
    most = 2 if len(word) >= _LONG else 1
    near: dict[str, int] = {}
    for candidate in {*meaning(), *forms(), *(name for name in names if name.isalpha())}:
        if abs(len(candidate) - len(word)) <= most and len(candidate) >= _LEAST_MISSPELLED - 1:
            distance = edits(lower, candidate.lower(), most)
            if distance <= most:
                near[candidate] = distance
    if not near:
        near = {known: 1 for known in FILLER if len(known) == len(word) and sorted(known) == sorted(lower)}
    best = {plain_word(name) if name in forms() else name for name, far in near.items() if far == min(near.values())}
    return best.pop() if len(best) == 1 else None


def edits(a: str, b: str, most: int) -> int:
    """Letters to insert, remove, replace or swap with the next, from one word to another; above `most` no further."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most + 1:
            return most + 1
    return row[-1]


def not_known(words: Collection[str]) -> list[str]:
    """Those that mean nothing here."""
    return [word for word in words if not is_known(word)]
