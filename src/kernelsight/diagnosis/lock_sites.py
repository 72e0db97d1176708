"""Where a lock is wanted, and where the thread that has it stands, by looks at the threads that wait.

Said once, of every finding of a lock, whatever mechanism found it. The functions of the C library, in which all wait
alike, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kernelsight.diagnosis.functions import told
from kernelsight.diagnosis.model import Entity, Finding, Step
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window, moment
from kernelsight.events.lock_wait import LockWait
from kernelsight.profiles.samples import StoredStack, stacks

if TYPE_CHECKING:  # with them comes numpy
    from kernelsight.profiles.symbols import Name, Symbols

LEAST_LOOKS = Threshold(
    2, "looks", because="judged: a thread that is met once may just have waited; each second there is one look"
)
_C_LIBRARY = ("libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libstdc++")
_MOST_ROWS = 600


def is_about_a_lock(finding: Finding) -> bool:
    """Whether a finding is of a class of faults of locks."""
    return "lock" in fault_classes()[finding.fault].parts


def lock_sites(window: Window, finding: Finding, symbols: Symbols) -> tuple[Step, ...]:
    """Claims of the lock of the culprit for which most threads waited: where they want it, where its holder stands."""
    if not is_about_a_lock(finding) or finding.culprit.kind != "process":
        return ()
    rows = [
        row
        for row in window.rows(LockWait)
        if str(row.pid) == finding.culprit.id and row.timestamp >= finding.onset_ns and row.word is not None
    ]
    if len(rows) < LEAST_LOOKS:
        return ()
    waiters: Counter[int] = Counter()
    for row in rows:
        waiters[row.word or 0] += row.waiters or 0
    word = min(waiters, key=lambda each: (-waiters[each], each))
    its = sorted((row for row in rows if row.word == word), key=moment)[-_MOST_ROWS:]
    numbers = (number for row in its for number in (row.waiter_stack_id, row.holder_stack_id) if number is not None)
    known = stacks(window.reader, window.when, numbers)

    def site(row: LockWait, number: int | None) -> Name | None:
        stack = known.get(number) if number is not None else None
        return None if stack is None else _site(stack, row.pid, symbols)

    return tuple(step for step in (_wanted(window, finding.culprit, its, site), _held(window, its, site)) if step)


def _site(stack: StoredStack, pid: int | None, symbols: Symbols) -> Name | None:
    """The innermost function that is not of the C library."""
    names = symbols.user(stack.frames, pid, stack.ends).names
    return next((name for name in reversed(names) if not name.where.startswith(_C_LIBRARY)), None)


_Site = Callable[[LockWait, int | None], "Name | None"]


def _wanted(window: Window, culprit: Entity, rows: Sequence[LockWait], site: _Site) -> Step | None:
    sites: Counter[Name] = Counter()
    for row in rows:
        if (name := site(row, row.waiter_stack_id)) is not None:
            sites[name] += 1
    evidence = window.evidence(rows, LockWait.waiters, "mean")
    if not sites or evidence is None:
        return None
    first, *others = sorted(sites, key=lambda name: (-sites[name], name))
    also = f", and in {told(others[0])}" if others and sites[others[0]] * 4 >= sites[first] else ""
    threads = f"{evidence.value:.0f} threads of {culprit.name} wait" if evidence.value >= 1.5 else "a thread waits"
    return Step(f"{threads} for the lock at {(rows[0].word or 0) & (2**64 - 1):#x} in {told(first)}{also}", (evidence,))


def _held(window: Window, rows: Sequence[LockWait], site: _Site) -> Step | None:
    """Where the holder stands in most of the looks."""
    seen: dict[str, list[LockWait]] = {}
    for row in rows:
        if row.holder_tid is not None and row.holder_state is not None:
            name = site(row, row.holder_stack_id)
            where = f" in {told(name)}" if name is not None else ""
            call = f", in the call {row.holder_call}" if row.holder_call else ""
            how = "runs, or waits for a CPU" if row.holder_state == "running" else f"sleeps{where}{call}"
            seen.setdefault(how, []).append(row)
    looks = [row for each in seen.values() for row in each]
    if not looks:
        return None
    how, most = min(seen.items(), key=lambda each: (-len(each[1]), each[0]))
    holders = {(row.holder_tid, row.holder_comm) for row in most}
    tid, comm = next(iter(holders))
    who = f"thread {comm} ({tid})" if len(holders) == 1 else "the thread"
    claim = f"{who} that has the lock {how}, in {len(most)} of {len(looks)} looks"
    evidence = (window.evidence(most, LockWait.waiters, "count"), window.evidence(looks, LockWait.waiters, "count"))
    return Step(claim, tuple(each for each in evidence if each is not None))
