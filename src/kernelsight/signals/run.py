"""The rules over a store: from a moment on, in steps of any length, with the same result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kernelsight.events.declare import kind_of
from kernelsight.events.signal import Signal
from kernelsight.query.arrivals import quiet_until
from kernelsight.query.filters import Filter
from kernelsight.query.rows import event_of, rows_of
from kernelsight.query.times import TimeRange
from kernelsight.signals.episodes import Episode, Episodes
from kernelsight.signals.model import LOOKBACK_S, SECOND_NS, Rule
from kernelsight.signals.samples import Samples
from kernelsight.stores.base import Reader

_LOOKBACK_NS = LOOKBACK_S * SECOND_NS
_PIECE_NS = 60 * SECOND_NS
"""Read at once; what this takes of memory is bounded so."""
_LONG_QUIET_NS = 600 * SECOND_NS
"""After so long without a sample it is worth asking where the next rows are."""
BACK_NS = 3600 * SECOND_NS
"""An episode that goes on at the beginning of a range is followed back for so long; one that is older and stored is
continued from its row, one that is not begins where the range does."""
LONGEST_NS = 366 * 86400 * SECOND_NS


class SignalRun:
    """Signals from one moment on."""

    def __init__(self, rules: Mapping[str, Rule], at_ns: int) -> None:
        self.rules = rules
        self.from_ns = self.until_ns = at_ns
        self.episodes = Episodes()
        self._samples = Samples(rules)
        self._tables = {rule.kind.table for rule in rules.values()}

    def feed(self, reader: Reader, end_ns: int) -> None:
        """Take the rows of all whole seconds up to before this one."""
        quiet_ns = self.until_ns
        while self.until_ns < end_ns:
            piece_ns = min(self.until_ns + _PIECE_NS, end_ns)
            for sample in self._samples.read(reader, self.until_ns, piece_ns, self.episodes.tracked):
                self.episodes.take(*sample)
                quiet_ns = piece_ns
            self.pass_over(piece_ns)
            if piece_ns - quiet_ns > _LONG_QUIET_NS:  # a healthy machine has no samples either
                quiet_ns = quiet_until(reader, self._tables, piece_ns, end_ns) // SECOND_NS * SECOND_NS
                self.pass_over(quiet_ns)

    def pass_over(self, to_ns: int) -> None:
        """There is nothing more up to before this whole second."""
        self.episodes.advance(to_ns)
        self.until_ns = to_ns

    def changed(self) -> list[Episode]:
        """Episodes that are not stored as they are."""
        return [*self.episodes.over, *(episode for episode in self.episodes.open if episode.count != episode.stored)]

    def stored(self) -> None:
        """What has changed is stored."""
        for episode in self.episodes.open:
            episode.stored = episode.count
        self.episodes.forget_over()


def begin(reader: Reader, rules: Mapping[str, Rule], at_ns: int, back_ns: int = BACK_NS) -> SignalRun:
    """A run that begins at a whole second, as if it had begun long before.

    Args:
        reader: the store.
        rules: what to look for.
        at_ns: where to begin.
        back_ns: how far to go back to where no episode goes on; ``run.from_ns`` says where it begins then.
    """
    oldest, step_ns = at_ns - back_ns, _LOOKBACK_NS
    while True:
        run = _warm(reader, rules, at_ns)
        stored = list(signals_around(reader, at_ns, rules))
        firsts = [run.episodes.earliest_ns or at_ns, *(signal.timestamp for signal in stored)]
        if min(firsts) >= at_ns or at_ns <= oldest:
            run.episodes.restore(stored, rules)
            return run
        at_ns = max(oldest, min(min(firsts) // SECOND_NS * SECOND_NS, at_ns - step_ns))
        step_ns *= 2


def _warm(reader: Reader, rules: Mapping[str, Rule], at_ns: int) -> SignalRun:
    """A run that knows what came before it, and counts nothing of it as its own."""
    run = SignalRun(rules, max(0, at_ns - _LOOKBACK_NS))
    run.feed(reader, at_ns)
    run.episodes.forget_over()
    run.from_ns = at_ns
    return run


def signals_around(reader: Reader, at_ns: int, rules: Mapping[str, Rule]) -> Iterator[Signal]:
    """The stored signals that began before a moment and may go on after it."""
    for row in stored_signals(reader, max(0, at_ns - LONGEST_NS), at_ns - 1, alive_ns=at_ns - _LOOKBACK_NS):
        rule = rules.get(row.rule or "")
        if rule and row.last_seen_ns is not None and row.last_seen_ns >= at_ns - rule.clear_after_s * SECOND_NS:
            yield row


def stored_signals(reader: Reader, start_ns: int, end_ns: int, *, alive_ns: int = 0) -> list[Signal]:
    """Stored signals that began in a range and were seen at or after a moment, in the order of their beginnings."""
    seen = [Filter(Signal.last_seen_ns, ">=", alive_ns)] if alive_ns else []
    columns = Signal.__struct_fields__[1:]
    rows = rows_of(reader, kind_of(Signal), TimeRange(start_ns, end_ns), columns=columns, where=seen)
    return [event_of(Signal, row) for row in rows]


def classify(reader: Reader, rules: Mapping[str, Rule], start_ns: int, end_ns: int) -> list[Signal]:
    """The signals of a range of whole seconds, the last one not included, from the events alone.

    Those that began before it and went on are among them.
    """
    run = begin(reader, rules, start_ns)
    run.feed(reader, end_ns)
    signals = (episode.signal() for episode in (*run.episodes.over, *run.episodes.open))
    return sorted((signal for signal in signals if (signal.last_seen_ns or 0) >= start_ns), key=order)


def order(signal: Signal) -> tuple[int, str, str]:
    """What tells one signal from all others, and sorts them by their beginnings."""
    return signal.timestamp, signal.rule or "", signal.entity or ""
