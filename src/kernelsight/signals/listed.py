"""The signals of a range: stored ones where somebody has looked, found from the events elsewhere."""

from __future__ import annotations

from kernelsight.events.signal import Signal
from kernelsight.query.source import Source, extent, opened
from kernelsight.query.times import TimeRange
from kernelsight.signals.model import SECOND_NS
from kernelsight.signals.progress import NAME, SignalProgress
from kernelsight.signals.registry import edition, rules
from kernelsight.signals.run import BACK_NS, begin, classify, order, stored_signals
from kernelsight.stores.base import Reader


def listed(source: Source, when: TimeRange) -> list[Signal]:
    """The signals that were seen in a range, in the order of their beginnings; the store is only read.

    Raises:
        StoreError: the store cannot be read.
    """
    known = rules()
    with opened(source) as reader:
        whole = extent(reader, sorted({rule.kind.table for rule in known.values()}))
        if whole is None:
            return []
        start_ns = max(when.start_ns, whole.start_ns) // SECOND_NS * SECOND_NS
        end_ns = min(when.end_ns, whole.end_ns) // SECOND_NS * SECOND_NS + SECOND_NS
        progress = _progress(reader)
        if progress is None or progress.rules != edition(known) or start_ns < progress.from_ns:
            signals = classify(reader, known, start_ns, end_ns)
        else:
            signals = _continued(reader, progress, end_ns)
    return [
        signal for signal in signals if (signal.last_seen_ns or 0) >= when.start_ns and signal.timestamp <= when.end_ns
    ]


def _continued(reader: Reader, progress: SignalProgress, end_ns: int) -> list[Signal]:
    """What is stored, and how it goes on until a moment."""
    latest = progress.rows(reader)
    run_on = begin(latest, rules(), progress.until_ns, 0)
    run_on.feed(latest, end_ns)
    stored = stored_signals(reader, max(0, progress.from_ns - BACK_NS), progress.until_ns)
    changed = [episode.signal() for episode in run_on.changed()]
    return sorted({order(signal): signal for signal in (*stored, *changed)}.values(), key=order)


def _progress(reader: Reader) -> SignalProgress | None:
    kept = [*reader.tuples("SELECT progress FROM derivations WHERE name = ?", (NAME,))]
    return SignalProgress.decode(str(kept[0][0])) if kept else None
