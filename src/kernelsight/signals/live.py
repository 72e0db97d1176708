"""Signals and coincidences kept up with the events, beside the daemon that stores these.

Each look reads what has come since the one before and replaces the rows that this changes, in one
transaction with how far it has come: whatever ends it, the next one goes on there. Rows that come late
(by their ids they are new, by their stamps they are not) let it go back to them.

Where it has come to lies ahead of this machine's clock when the clock was set back, or had been ahead. Then it begins
anew with the rows that came since, and leaves those of before alone until the clock has passed where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import msgspec

from kernelsight.errors import StoreError
from kernelsight.events.coincidence import Coincidence
from kernelsight.events.declare import INT64_MAX, kind_of
from kernelsight.events.signal import Signal
from kernelsight.query.arrivals import last_ids, quiet_until
from kernelsight.query.source import AHEAD_NS, extent
from kernelsight.query.times import TimeRange, parse_time
from kernelsight.signals.coincidences import MINUTE_NS, SETTLED_NS, TABLES, Minute
from kernelsight.signals.model import LOOKBACK_S, SECOND_NS
from kernelsight.signals.progress import NAME, SignalProgress, news
from kernelsight.signals.registry import edition, rules
from kernelsight.signals.run import BACK_NS, SignalRun, begin
from kernelsight.stores.base import Reader, Replacement, open_deriver, open_reader

_PATIENCE_NS = 2 * SECOND_NS
"""How far behind the latest row it stays: collectors' and daemon's batches are a second each."""
_MOST_PATIENCE_NS = 60 * SECOND_NS
_STRIDE_NS = 600 * SECOND_NS
"""What is taken at one look at most, so that what is found is stored on the way."""
_APART_NS = LOOKBACK_S * SECOND_NS
"""So long after the last row of before the clock was set back, nothing that is found now depends on such rows."""
_KEYS = ("timestamp", "rule", "entity")
_ATTEMPTS = 5


class Keeper:
    """Keeps the derived rows of a store."""

    def __init__(self, url: str, *, make: bool = False) -> None:
        """Open a store; ``make`` as of :func:`kernelsight.stores.base.open_deriver`."""
        self._rules = rules()
        self._edition = edition(self._rules)
        self._tables = sorted({rule.kind.table for rule in self._rules.values()} | TABLES)
        self._deriver = open_deriver(url, make=make)
        self._all_rows: Reader = open_reader(url)
        self._reader = self._all_rows
        """What belongs together: all rows, or those since the clock was set back."""
        self._text: str | None = None
        self._progress = SignalProgress(0, 0, "", {})
        self._run: SignalRun | None = None
        self._minute = Minute(0)
        self._anew_ns: int | None = None
        self._gap: tuple[int, int] | None = None
        """A time without rows that was passed over."""
        self._patience_ns = _PATIENCE_NS
        self.behind_ns = 0
        """What there was to be taken at the last look and was not, as it was too much at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._all_rows.close()
        self._deriver.close()

    def look(self, *, last: bool = False) -> list[Signal]:
        """Take what has come: all of it at the last look, otherwise what late rows will hardly belong to.

        Returns:
            the signals that began, went on or ended.
        """
        whole = extent(self._reader, self._tables)
        if whole is None:
            return []
        if self._run is None or self._deriver.progress(NAME) != self._text:
            self._resume(whole)
        assert self._run is not None
        now_ns = parse_time("now")
        if self._run.until_ns > now_ns + AHEAD_NS and self._follow_clock_back(now_ns):
            whole = extent(self._reader, self._tables) or whole
        since_ns = max(self._progress.from_ns, self._run.until_ns - BACK_NS)
        recent = news(self._reader, self._tables, self._progress.seen, since_ns)
        if recent.first_ns is not None:
            self._heed_late(recent.first_ns)
        end_ns = _after(whole.end_ns - (0 if last else self._patience_ns))
        if end_ns <= self._run.until_ns and self._anew_ns is None:
            return []
        self._run.feed(self._reader, min(end_ns, self._run.until_ns + _STRIDE_NS))
        if end_ns - self._run.until_ns > _STRIDE_NS:
            self._pass_over_gap(end_ns)
        self.behind_ns = max(0, end_ns - self._run.until_ns)
        signals = self._store(recent.seen)
        if signals is None:  # somebody has derived meanwhile: the next look goes on from there
            self._run = None
        return signals or []

    def _follow_clock_back(self, now_ns: int) -> bool:
        """Begin anew with the rows that have come since the clock was set back; whether there are any."""
        assert self._run is not None
        until_ns, seen = self._run.until_ns, self._progress.seen
        first_ns = news(self._all_rows, self._tables, seen, 0).first_ns
        if first_ns is None or first_ns > now_ns + AHEAD_NS:
            return False
        at_ns = _second(max(first_ns, now_ns - BACK_NS))
        ahead = last_ids(self._all_rows, self._tables, from_ns=now_ns + AHEAD_NS)
        after = {table: max(seen.get(table, 0), ahead.get(table, 0)) for table in {*seen, *ahead}}
        after |= last_ids(self._all_rows, [kind_of(Signal).table])
        apart_ns = max(until_ns, self._progress.apart_ns) + _APART_NS
        from_ns = min(self._progress.from_ns, at_ns)  # what was found before stays found
        self._progress = SignalProgress(from_ns, at_ns, self._edition, seen, after, apart_ns)
        self._show(self._progress)
        self._run, self._minute = SignalRun(self._rules, at_ns), Minute(_minute(at_ns))
        self._anew_ns, self._patience_ns = None, _PATIENCE_NS
        return True

    def _show(self, progress: SignalProgress) -> None:
        """Read what belongs together, as far as was found."""
        self._reader = progress.rows(self._all_rows)

    def _pass_over_gap(self, end_ns: int) -> None:
        """Where nothing was recorded for long, go to what was; the clock may have been set ahead by years."""
        assert self._run is not None
        until_ns = self._run.until_ns
        quiet_ns = _second(quiet_until(self._reader, self._tables, until_ns, end_ns))
        if quiet_ns - until_ns > _STRIDE_NS:
            self._run.pass_over(quiet_ns)
            self._gap = until_ns, quiet_ns

    def _heed_late(self, first_ns: int) -> None:
        """Rows from this moment on have come: where that has passed, go back to it, and be more patient from now on."""
        assert self._run is not None
        late_ns = self._run.until_ns - first_ns
        if late_ns > 0:
            self._patience_ns = min(_MOST_PATIENCE_NS, self._patience_ns + late_ns)
            end_ns = self._run.until_ns
            self._go_back(first_ns)
            self._run.feed(self._reader, end_ns)

    def again(self, start_ns: int) -> list[Signal]:
        """Find everything again from a moment on, up to the latest row, and put it in place of what is stored.

        Raises:
            StoreError: others derived at the same time, too often.
        """
        whole = extent(self._reader, self._tables)
        if whole is None:
            return []
        self._resume(whole)
        seen = news(self._reader, self._tables, {}, 0).seen
        if self._text is not None:  # nothing is left out between what was found before and what is found now
            start_ns = min(start_ns, self._progress.until_ns)
        self._go_back(max(start_ns, whole.start_ns))
        assert self._run is not None
        self._run.feed(self._reader, _after(whole.end_ns))
        signals = self._store(seen, attempts=_ATTEMPTS)
        if signals is None:
            raise StoreError("signals are being found by another process at the same time; try again")
        return signals

    def _resume(self, whole: TimeRange) -> None:
        """Go on where the store says; begin an hour before its latest row where it says nothing."""
        self._text = self._deriver.progress(NAME)
        kept = SignalProgress.decode(self._text)
        self._anew_ns = None
        self._show(kept or self._progress)
        if kept is None:
            self._run = begin(self._reader, self._rules, _second(max(whole.start_ns, whole.end_ns - BACK_NS)))
            at_ns = self._run.from_ns
            self._progress, self._minute = SignalProgress(at_ns, at_ns, self._edition, {}), Minute(_minute(at_ns))
            return
        self._progress, self._minute = kept, Minute(_minute(kept.until_ns - SETTLED_NS))
        if kept.rules == self._edition:
            self._run = begin(self._reader, self._rules, kept.until_ns, 0)
        else:
            self._go_back(max(kept.from_ns, kept.until_ns - BACK_NS))

    def _go_back(self, to_ns: int) -> None:
        """Find everything again from this moment on."""
        self._run = begin(self._reader, self._rules, _second(to_ns))
        self._anew_ns = self._run.from_ns if self._anew_ns is None else min(self._anew_ns, self._run.from_ns)
        self._minute = Minute(min(self._minute.start_ns, _minute(self._run.from_ns - SETTLED_NS)))

    def _store(self, seen: dict[str, int], attempts: int = 1) -> list[Signal] | None:
        """Store what has changed; None where somebody else has stored meanwhile, at each attempt, and nothing was."""
        run = self._run
        assert run is not None
        changed = [episode.signal() for episode in run.changed()]
        from_ns = min(self._progress.from_ns, run.from_ns)
        after = self._progress.after if run.until_ns <= self._progress.apart_ns else {}
        progress = SignalProgress(
            from_ns, run.until_ns, self._edition, seen, after, self._progress.apart_ns if after else 0
        )
        changes = [*self._signals(changed), *self._minutes()]
        while not self._deriver.replace(NAME, self._text, progress.encode(), changes):
            attempts -= 1
            if not attempts:
                return None
            self._text = self._deriver.progress(NAME)  # who derives beside this goes on from what is stored now
        self._text, self._progress, self._anew_ns = progress.encode(), progress, None
        self._show(progress)
        run.stored()
        return changed

    def _signals(self, changed: list[Signal]) -> Iterator[Replacement]:
        since_ns = INT64_MAX if self._anew_ns is None else self._anew_ns
        if self._anew_ns is not None:
            rows = [msgspec.structs.astuple(signal) for signal in changed if signal.timestamp >= since_ns]
            yield Replacement(Signal, rows, since_ns, INT64_MAX)
        if known := [signal for signal in changed if signal.timestamp < since_ns]:
            stamps = [signal.timestamp for signal in known]
            rows = [msgspec.structs.astuple(signal) for signal in known]
            yield Replacement(Signal, rows, min(stamps), max(stamps), _KEYS)

    def _minutes(self) -> Iterator[Replacement]:
        """The minutes that have changed, the one that is not over as far as it goes."""
        assert self._run is not None
        settled_ns = self._run.until_ns - SETTLED_NS
        while self._minute.start_ns < settled_ns:
            minute = self._minute
            minute.read(self._reader, settled_ns)
            rows = [msgspec.structs.astuple(coincidence) for coincidence in minute.rows()]
            yield Replacement(Coincidence, rows, minute.start_ns, minute.start_ns + MINUTE_NS - 1)
            if minute.start_ns + MINUTE_NS > settled_ns:
                return
            self._minute = Minute(self._next_minute(minute.start_ns + MINUTE_NS))

    def _next_minute(self, start_ns: int) -> int:
        """The minute that begins so, or the one in which a time without rows ends."""
        if self._gap is None or not self._gap[0] <= start_ns < self._gap[1]:
            return start_ns
        return max(start_ns, _minute(self._gap[1]))


def _second(stamp_ns: int) -> int:
    return stamp_ns // SECOND_NS * SECOND_NS


def _after(stamp_ns: int) -> int:
    """The end of the second that a stamp lies in."""
    return _second(stamp_ns) + SECOND_NS


def _minute(stamp_ns: int) -> int:
    return stamp_ns // MINUTE_NS * MINUTE_NS
