"""What is proven of the recorded steps: that this user took them, as they are written, and that none is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal

import msgspec

from kernelsight.agent.acting.audit import Ledger
from kernelsight.agent.acting.chain import Head
from kernelsight.events.action import ActionStep
from kernelsight.query.source import opened
from kernelsight.stores.base import store

Standing = Literal["proven", "changed", "unsealed", "not_ours", "no_key"]

MARKS: dict[Standing, str | None] = {
    "proven": None,
    "changed": "CHANGED: not as this user sealed it",
    "unsealed": "UNPROVEN: sealed by nobody",
    "not_ours": "unproven: not sealed by this user",
    "no_key": "unproven: this user has no key to judge it by",
}
"""What is said of a step beside it; nothing where it is proven."""
_LOST = "MISSING from the database"


class Judge:
    """Judges steps by the key and the heads of the user who runs this."""

    def __init__(self, ledger: Ledger) -> None:
        self._seal = ledger.seal
        self.has_key = ledger.seal.exists
        self.heads = {head.chain: head for head in ledger.chain.heads()} if self.has_key else {}
        current = ledger.chain.head() if self.has_key else None
        self._current = current.chain if current else ""
        self._lost: set[str | None] = set()

    def completed(self, told: Iterable[ActionStep], remembered: Iterable[ActionStep]) -> list[ActionStep]:
        """The steps in the database, by time, and those that it has lost of the decisions that are kept outside it."""
        steps = list(told)
        proven = [step for step in steps if self.standing(step) == "proven"]
        seals = {step.seal for step in proven}
        chains = {self._current, *(step.chain for step in proven)}  # what was written to a copy is not lost here
        lost = [step for step in remembered if step.chain in chains and step.seal not in seals]
        self._lost.update(step.seal for step in lost)
        return sorted([*steps, *lost], key=lambda step: step.timestamp)

    def standing(self, step: ActionStep) -> Standing:
        """What is known of one step by itself."""
        if step.seal is None:
            return "unsealed"
        if not self.has_key:
            return "no_key"
        if self._seal.holds(step):
            return "proven"
        head = self.heads.get(step.chain or "")
        return "changed" if head is not None and head.key == self._seal.name else "not_ours"

    def mark(self, step: ActionStep) -> str | None:
        """What is said of a step beside it; None where it is proven."""
        standing = self.standing(step)
        return _LOST if standing == "proven" and step.seal in self._lost else MARKS[standing]


class Flaw(msgspec.Struct, frozen=True):
    """One thing that is wrong with the record, or that cannot be judged."""

    what: Literal["changed", "unsealed", "missing", "out_of_place", "not_ours", "no_key", "no_head"]
    text: str
    """For a person."""
    timestamp: int | None = None
    """Of the step (ns since the epoch)."""
    action_id: str | None = None
    chain: str | None = None
    first: int | None = None
    """The number of the step, or of the first one, in its chain."""
    last: int | None = None


_NOT_KNOWN = frozenset({"not_ours", "no_key", "no_head"})


class Audit(msgspec.Struct, frozen=True):
    """Whether the record of actions is what this user wrote, all of it."""

    answer: Literal["ok", "broken", "unknown"]
    proven: int
    """Steps that are."""
    before_chain: int
    """Those of them that were sealed by a version without a chain: whether others are missing is not known."""
    pending: int
    """Steps that a crash kept from the database; the next step brings them along."""
    flaws: tuple[Flaw, ...]


def audit(ledger: Ledger) -> Audit:
    """Check every recorded step of one database.

    Raises:
        StoreError: the database, or what is kept outside it, cannot be read.
    """
    if not ledger.seal.exists or not ledger.chain.folder.exists():
        return _audit(ledger)
    with ledger.chain.alone():
        return _audit(ledger)


def _audit(ledger: Ledger) -> Audit:
    judge = Judge(ledger)
    current = ledger.chain.head() if judge.has_key else None
    steps = _recorded(ledger)
    standings = [(step, judge.standing(step)) for step in steps]
    proven = [step for step, standing in standings if standing == "proven"]
    flaws = [_flaw(step, standing) for step, standing in standings if standing != "proven"]
    chains: dict[str, list[ActionStep]] = defaultdict(list)
    for step in proven:
        if step.chain is not None:
            chains[step.chain].append(step)
    if current is not None:
        chains[current.chain] += []
    claimed = {(step.chain, step.sequence) for step, standing in standings if standing == "changed"}
    remembered = {(step.chain, step.sequence): step for step in ledger.decided.steps()} if judge.has_key else {}
    pending = 0
    for name, members in chains.items():
        head = judge.heads.get(name)
        if head is None:
            text = (
                f"the head of chain {name} is gone from {ledger.chain.folder}: whether steps are missing is not known"
            )
            flaws.append(Flaw("no_head", text, chain=name))
            continue
        stored = {step.seal for step in members}
        waiting = [step for step in head.pending if step.seal not in stored]
        pending += len(waiting)
        flaws += _gaps([*members, *waiting], head, claimed, remembered)
    wrong = {flaw.what for flaw in flaws}
    return Audit(
        "broken" if wrong - _NOT_KNOWN else "unknown" if wrong else "ok",
        len(proven),
        sum(step.chain is None for step in proven),
        pending,
        tuple(flaws),
    )


def _recorded(ledger: Ledger) -> list[ActionStep]:
    """All steps; a database that cannot be read is an error, one that does not exist has none."""
    if store(ledger.db_path).exists():
        with opened(ledger.db_path) as reader:
            reader.holds("actions")
    return ledger.told(0)


def _flaw(step: ActionStep, standing: Standing) -> Flaw:
    assert standing != "proven"
    text = f"{step.stage} of {step.action} {step.target_name or step.target} ({step.action_id}): {MARKS[standing]}"
    return Flaw(standing, text, step.timestamp, step.action_id, step.chain, step.sequence, step.sequence)


def _gaps(
    steps: Iterable[ActionStep],
    head: Head,
    claimed: set[tuple[str | None, int | None]],
    remembered: dict[tuple[str | None, int | None], ActionStep],
) -> Iterator[Flaw]:
    """What is missing of one chain, and what does not fit into its place."""
    seals: dict[int, set[str | None]] = defaultdict(set)
    chained = list(steps)
    for step in chained:
        seals[step.sequence or 0].add(step.seal)
    for step in chained:
        sequence = step.sequence or 0
        if sequence > head.sequence or (sequence > 1 and seals.get(sequence - 1) and not _follows(step, seals)):
            why = "is later than the head" if sequence > head.sequence else "does not follow the one before it"
            text = f"step {sequence} ({step.stage} of {step.action_id}) {why}: was what is kept with the key set back?"
            yield Flaw("out_of_place", text, step.timestamp, step.action_id, head.chain, sequence, sequence)
    if not head.database:
        return  # the chain was ended, and with it the search for what is missing
    if head.sequence in seals and head.seal not in seals[head.sequence]:
        text = f"step {head.sequence} is not the one that the head names"
        yield Flaw("out_of_place", text, chain=head.chain, first=head.sequence, last=head.sequence)
    absent = [
        number for number in range(1, head.sequence + 1) if number not in seals and (head.chain, number) not in claimed
    ]
    for first, last in _ranges(absent):
        numbers = f"step {first} is" if first == last else f"steps {first} to {last} are"
        known = [
            f"{remembered[place].stage} of {remembered[place].action_id}"
            for place in ((head.chain, number) for number in range(first, last + 1))
            if place in remembered
        ]
        text = f"{numbers} missing" + (f", among them {', '.join(known)}" if known else "")
        yield Flaw("missing", text, chain=head.chain, first=first, last=last)


def _follows(step: ActionStep, seals: dict[int, set[str | None]]) -> bool:
    return step.previous in seals[(step.sequence or 0) - 1]


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in group]
        yield members[0], members[-1]
