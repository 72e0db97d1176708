"""The books: every line that was read is in exactly one of them.

``lines = stored + rejected + dropped + in_memory``, per kind and in all, at any moment. A *line* here is
one event or one thing that could not become one. Counted beside it are blank lines, lines that only
continue an object begun on an earlier one (*joined*), and objects that share a line with an earlier one
(*shared*), so that ``wc -l`` of the input is ``lines + blank + joined - shared``, plus what is waiting
for its end: one for each of the ``waiting`` lines of an unfinished object. (An unfinished last line is
no line yet, for ``wc`` neither.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import itemgetter

from kernelsight.events.declare import Event, kind_of
from kernelsight.stores.base import Account, Row


@dataclass(slots=True)
class Accounts:
    """What became of what this run has read."""

    by_kind: dict[str, Account] = field(default_factory=dict)
    before: Mapping[str, Account] = field(default_factory=dict)
    """The accounts of all runs before this one."""
    complete_since_ns: int | None = None
    """All that collectors have printed since then comes in here (ns since the epoch); None: that is not known."""
    bytes_read: int = 0
    blank: int = 0
    joined: int = 0
    shared: int = 0
    arrivals: int = 0
    """Events stamped with their time of arrival, because their own was of another boot."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Refusals by reason, without what is particular to one line."""
    gone: int = 0
    """Rows that were stored, in a store that has gone; they are among the dropped."""
    never_came: Counter[str] = field(default_factory=Counter)
    """Lines that were printed and that no run has accounted for, by kind; they are among the dropped."""
    ignored_fields: Counter[str] = field(default_factory=Counter)
    """Fields of foreign lines that no column stands for, by kind."""
    below_zero: Counter[str] = field(default_factory=Counter)
    """Values stored as NULL because they fell below zero, by kind."""

    def of(self, kind: str) -> Account:
        """The account of a kind."""
        account = self.by_kind.get(kind)
        if account is None:
            account = self.by_kind[kind] = self._begun(self.before.get(kind, Account()))
        return account

    def _begun(self, before: Account) -> Account:
        """An account of this run. Where all lines since a moment come in here, those before are known too."""
        if self.complete_since_ns is None or (before.run is not None and before.run >= self.complete_since_ns):
            return Account(run=before.run, lines_before_run=before.lines_before_run)
        return Account(run=self.complete_since_ns, lines_before_run=before.lines)

    def lines(self, kind: str) -> int:
        """Lines of a kind in this run and all before it."""
        return self.before.get(kind, Account()).lines + self.of(kind).lines

    def lost(self, kind: str, lines: int) -> None:
        """Lines were printed, and never came: whoever had read them was killed."""
        account = self.of(kind)
        account.lines += lines
        account.dropped += lines
        self.never_came[kind] += lines

    def took(self, struct: type[Event], rows: list[Row]) -> None:
        """Events were read and wait to be stored."""
        account = self.of(kind_of(struct).name)
        account.lines += len(rows)
        account.in_memory += len(rows)
        stamps = list(map(_STAMP, rows))
        first, last = min(stamps), max(stamps)
        account.first_timestamp = min(account.first_timestamp or first, first)
        account.last_timestamp = max(account.last_timestamp or last, last)

    def refused(self, kind: str, reason: str) -> None:
        """A line could not become an event."""
        account = self.of(kind)
        account.lines += 1
        account.rejected += 1
        self.reasons[reason.split(":", 1)[0]] += 1

    def dropped(self, struct: type[Event], rows: int) -> None:
        """Events were given up."""
        account = self.of(kind_of(struct).name)
        account.in_memory -= rows
        account.dropped += rows

    def once_stored(self, events: Mapping[type[Event], list[Row]]) -> dict[str, Account]:
        """The books as they will stand when these events are stored."""
        books = {kind: replace(account) for kind, account in self.by_kind.items()}
        for struct, rows in events.items():
            account = books[kind_of(struct).name]
            account.in_memory -= len(rows)
            account.stored += len(rows)
        return books

    def stored(self, books: dict[str, Account], not_taken: Iterable[type[Event]]) -> None:
        """The books that :meth:`once_stored` foresaw are true now, but for rows that the store refused."""
        self.by_kind = books
        for struct in not_taken:
            account = self.of(kind_of(struct).name)
            account.stored -= 1
            account.rejected += 1
            self.reasons["refused by the store"] += 1

    def lost_with_store(self) -> int:
        """What was stored is gone with its store: it counts as dropped.

        Returns:
            how many rows.
        """
        total = 0
        for account in self.by_kind.values():
            account.dropped += account.stored
            total += account.stored
            account.stored = 0
        self.gone += total
        return total

    def total(self) -> Account:
        """All kinds together."""
        every = self.by_kind.values()
        total = Account(**{name: sum(getattr(account, name) for account in every) for name in _COUNTS})
        total.first_timestamp = min((a.first_timestamp for a in every if a.first_timestamp is not None), default=None)
        total.last_timestamp = max((a.last_timestamp for a in every if a.last_timestamp is not None), default=None)
        return total


_COUNTS = tuple(f.name for f in fields(Account) if f.default == 0)
_STAMP: Callable[[Row], int] = itemgetter(0)
