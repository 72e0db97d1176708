"""Keeps the limits of a store: lets segments, columns and rollups go when their time or the disk's is over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kernelsight.quantities import quantity
from kernelsight.stores.limits import Limit, Limits
from kernelsight.stores.sqlite import limits as limit_books
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.holdings import holdings, load_columns
from kernelsight.stores.sqlite.layout import Layout
from kernelsight.stores.sqlite.leaving import SETTLED_NS, Choice, Held, choose
from kernelsight.stores.sqlite.retention import Retention
from kernelsight.stores.sqlite.rollups import rollups_in
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.space import FREE_SHARE, Meter, free_pages, give_back, pages, returns_space
from kernelsight.stores.sqlite.twins.books import forget, load_files, load_twins, removable
from kernelsight.stores.sqlite.twins.folder import folder_of, is_whole

_LOOK_S = 10.0
"""Between two looks while nothing is due."""
_MEASURE_S = 600.0
"""How long the measured size of rollups is believed."""
_ROLLUPS_A_STEP = 5_000
_LEAST_ROWS = 1_000
"""A hot segment with fewer rows is not closed for the budget's sake."""


class Tiers:
    """The limits of one store, and their keeping; every step is one transaction or less."""

    def __init__(self, layout: Layout, retention: Retention, path: Path) -> None:
        self._layout = layout
        self._retention = retention
        self._path = path
        self._meter = Meter(layout.connection, layout.kinds)
        self._look_at = self._measure_at = 0.0
        self._excess = ""
        self._is_over = False
        self._notices: list[str] = []
        self._has_told = False

    def set_limits(self, changes: Mapping[Limit, int | None]) -> bool:
        """Set limits; those that were never set get their defaults.

        Returns:
            whether the file had no limits before.
        """
        with self._layout.transaction():
            is_first = limit_books.save(self._layout.connection, changes)
        self._look_at = 0.0
        return is_first

    def limits(self) -> Limits:
        """Those that hold now."""
        return limit_books.load(self._layout.connection)

    def warnings(self) -> list[str]:
        """That the budget cannot be kept."""
        return [self._excess] if self._excess else []

    def take_notices(self) -> list[str]:
        """What has begun to happen since this was last asked, for a person."""
        notices, self._notices = self._notices, []
        return notices

    def step(self, now_ns: int) -> bool:
        """Let one thing go, if one is due; False when none is."""
        if time.monotonic() < self._look_at:
            return False
        limits = self.limits()
        if limits.values and (self._act(limits, now_ns) or self._let_rollups_go(limits, now_ns)):
            return True
        self._look_at = time.monotonic() + _LOOK_S
        return False

    def give_back(self) -> bool:
        """Give some free space back to the file system; False when there is no need."""
        return give_back(self._layout.connection, all_of_it=self._is_over)

    def give_all_back(self) -> bool:
        """Give some free space back, while there is any; False when there is none, or the file cannot."""
        return give_back(self._layout.connection, all_of_it=True)

    def needs_rewriting(self) -> bool:
        """Whether much of the file is free and can go back only when all of it is written anew."""
        connection = self._layout.connection
        return not returns_space(connection) and free_pages(connection) > pages(connection) // FREE_SHARE

    def look_now(self) -> None:
        """Have the next step look, whenever the last one did."""
        self._look_at = self._measure_at = 0.0

    def _act(self, limits: Limits, now_ns: int) -> bool:
        if time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + _MEASURE_S
            self._meter.forget()
        columns = load_columns(self._layout.connection)
        usage = self._meter.usage(limits, columns=columns.bytes, going=self._retention.going_bytes())
        budget = limits.max_disk
        self._is_over = budget is not None and usage.total > budget
        segments = {table: self._layout.of(table) for table in self._layout.kinds}
        held = holdings(segments, columns, self._layout.kinds)
        choice = choose(held, self._layout.kinds, limits, usage, now_ns)
        if choice is not None and choice.held is None and not self._delete_rollups(now_ns):
            usage = replace(usage, rows=usage.rows + usage.rollups, rollups=0)  # none is old enough to go
            choice = choose(held, self._layout.kinds, limits, usage, now_ns)
        if choice is not None:
            self._excess = ""
            if choice.because == "max_disk" and budget is not None:
                self._tell_of_budget(budget)
            if choice.held is not None:
                self._let_held_go(choice, choice.held)
            return True
        if budget is None or usage.total <= budget:
            self._excess = ""
            return False
        if self._close_largest(now_ns):
            return True
        self._excess = (
            f"the store takes {quantity(usage.total, 'B')}, more than its limit of {quantity(budget, 'B')}, and nothing"
            f" that is older than {quantity(SETTLED_NS, 'ns')} is left to go; give `--max-disk` more"
        )
        return False

    def _tell_of_budget(self, budget: int) -> None:
        """Say once that rows go before their time."""
        if not self._has_told:
            self._has_told = True
            self._notices.append(
                f"the store has reached its limit of {quantity(budget, 'B')} on disk: from now on the oldest goes"
                " before its time; `kernelsight retention` shows what, and `--max-disk` gives it more"
            )

    def _let_held_go(self, choice: Choice, held: Held) -> None:
        archived = choice.what == "rows" and held.has_columns
        if archived and not self._has_whole_columns(held):
            self._have_made_again(held)
            return
        with self._layout.transaction():
            segment = next((s for s in self._layout.of(held.table) if s.number == held.number), None)
            if segment is not None:
                with self._layout.suspecting(segment):
                    self._let_segment_go(segment, archived=archived)
            elif not held.has_rows:
                forget(self._layout.connection, held.table, [held.number])

    def _has_whole_columns(self, held: Held) -> bool:
        """Whether the file that is to be all that remains of some rows can be read."""
        connection = self._layout.connection
        twin = next((twin for twin in load_twins(connection, held.table) if twin.number == held.number), None)
        return twin is not None and is_whole(self._path, load_files(connection, held.table)[held.table, twin.file])

    def _have_made_again(self, held: Held) -> None:
        """Without its books, a twin is due again; its rows stay until then."""
        with self._layout.transaction():
            forget(self._layout.connection, held.table, [held.number])
        self._notices.append(
            f"the columns of segment {held.number} of {held.table} were missing or damaged: they are made again from"
            " its rows, which stay until then"
        )

    def _let_segment_go(self, segment: Segment, *, archived: bool) -> None:
        """Let the rows of a full segment go, and its columns as well unless it is archived by that."""
        if archived:
            fresh = {twin.number for twin in load_twins(self._layout.connection, segment.table_name)}
            if segment.number not in fresh:
                return  # a row was changed since it was chosen
        self._retention.remove_whole(segment, archived=archived)

    def remove_files(self) -> bool:
        """Remove a file that nobody needs any more; False when there is none."""
        connection = self._layout.connection
        file = next(iter(removable(connection, time.time_ns())), None)
        if file is None:
            return False
        (folder_of(self._path) / file.table_name / file.file).unlink(missing_ok=True)
        with self._layout.transaction():
            connection.execute(
                "DELETE FROM twin_files WHERE table_name = ? AND file = ? AND retired_ns IS NOT NULL",
                (file.table_name, file.file),
            )
        return True

    def _close_largest(self, now_ns: int) -> bool:
        """Close the hot segment with most rows, so that it can go when it is the oldest; False where all are small."""
        layout = self._layout
        with layout.transaction():
            hot = [
                segment
                for table, kind in layout.kinds.items()
                for segment in layout.of(table)[-1:]
                if not kind.lasting and segment.rows >= _LEAST_ROWS and now_ns - segment.opened_ns > SETTLED_NS
            ]
            if not hot:
                return False
            layout.roll(max(hot, key=lambda segment: segment.rows).table_name)
        return True

    # --- rollups ------------------------------------------------------------------------------------

    def _let_rollups_go(self, limits: Limits, now_ns: int) -> bool:
        """Delete some rows of a rollup whose time is over; False when there are none."""
        for name in rollups_in(self._layout.connection, self._layout.kinds):
            keep_ns = limits.of(self._layout.kinds[name.rpartition("_")[0]], "keep_rollups")
            if keep_ns is not None and self._delete_older(name, now_ns - keep_ns):
                return True
        return False

    def _delete_older(self, rollup: str, cut_ns: int) -> bool:
        name, connection = quote(rollup), self._layout.connection
        if not connection.execute(f"SELECT 1 FROM {name} WHERE timestamp < ? LIMIT 1", (cut_ns,)).fetchall():
            return False
        with self._layout.transaction():
            connection.execute(
                f"DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} WHERE timestamp < ? LIMIT ?)",
                (cut_ns, _ROLLUPS_A_STEP),
            )
        return True

    def _delete_rollups(self, now_ns: int) -> bool:
        """Delete the oldest tenth of the rollups by time, for the budget's sake."""
        connection = self._layout.connection
        names = rollups_in(connection, self._layout.kinds)
        firsts = [
            first
            for name in names
            for (first,) in connection.execute(f"SELECT min(timestamp) FROM {quote(name)}")
            if isinstance(first, int)
        ]
        if not firsts:
            return False
        first_ns = min(firsts)
        cut_ns = min(first_ns + max(SETTLED_NS, (now_ns - first_ns) // 10), now_ns - SETTLED_NS)
        if cut_ns <= first_ns:
            return False
        for name in names:
            while self._delete_older(name, cut_ns):
                pass
        self._meter.forget()
        return True
