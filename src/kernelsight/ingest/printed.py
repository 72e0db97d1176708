"""What collectors say they have printed, held against what came: the difference was lost with a daemon that was killed.

A report says how many lines of each kind its run has printed before it. They came in that order, so together
with the lines that there were before the run they are all that may be in the accounts by then. Lines of others of
the same kinds are not told apart: what they add hides as much of a loss.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from kernelsight.events import wire
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event, kind_of
from kernelsight.ingest.accounts import Accounts

_PRINTED = re.compile(r"([a-z0-9_]{1,64})=([0-9]{1,15})")
_MOST_LINES = 1 << 60
"""What no account reaches; more is not believed of a report."""


def count_losses(structs: Sequence[Event], accounts: Accounts, waiting: Mapping[type[Event], int]) -> None:
    """Hold the reports among events, in the order in which they came, against the accounts of the lines before them.

    Args:
        structs: the events.
        accounts: of all that came before, but for what is waiting.
        waiting: events of each kind that came before and are in no account yet.
    """
    before: Counter[type[Event]] = Counter(waiting)
    for struct in structs:
        if isinstance(struct, CollectorReport) and struct.run is not None and struct.printed is not None:
            came = Counter({kind_of(kind).name: count for kind, count in before.items()})
            for kind, printed in _pairs(struct.printed):
                _compare(accounts, kind, struct.run, printed, accounts.lines(kind) + came[kind])
        before[type(struct)] += 1


def _pairs(text: str) -> list[tuple[str, int]]:
    matches = [_PRINTED.fullmatch(part) for part in text.split(",")]
    return [(match[1], int(match[2])) for match in matches if match and match[1] in wire.kinds()]


def _compare(accounts: Accounts, kind: str, run: int, printed: int, came: int) -> None:
    account = accounts.of(kind)
    since = accounts.complete_since_ns
    is_complete = since is not None and account.run == since <= run
    if account.run == run or is_complete:
        expected = (account.lines_before_run or 0) + printed
        if came < expected < _MOST_LINES:
            accounts.lost(kind, expected - came)
        account.lines_before_run = (account.lines_before_run or 0) + max(0, came - expected)
    else:  # where the run began is not known: only from here on it is
        account.lines_before_run = came - printed
    account.run = run
