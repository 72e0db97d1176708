"""From the diagnoses that the agent writes down to notices: when a finding begins, again after a while, at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.events.action import DiagnosisRow
from kernelsight.surfaces.notify.notice import Notice, notice_of

NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Told:
    notice: Notice
    last_ns: int


class Follower:
    """What was told, and what is to be told now."""

    def __init__(self, *, least_confidence: float, repeat_s: float) -> None:
        """Begin with nothing told.

        Args:
            least_confidence: findings of which the agent is less sure are not told, 0 to 1.
            repeat_s: what goes on is told again after so long.
        """
        self._least, self._repeat_ns = least_confidence, int(repeat_s * NS_PER_S)
        self._told: dict[tuple[str, str, str], _Told] = {}

    def look(self, rows: Sequence[DiagnosisRow], now_ns: int) -> Iterator[Notice]:
        """What is to be told of the last diagnosis.

        A diagnosis that does not know ends nothing: what is not seen may go on.

        Args:
            rows: of the last diagnosis, one a finding; none where there is no diagnosis.
            now_ns: the moment (ns since the epoch).
        """
        present = set()
        for row in rows:
            if row.fault is None:
                continue
            notice = notice_of(row, "began", now_ns)
            present.add(notice.key)
            told = self._told.get(notice.key)
            if told is None and notice.confidence >= self._least:
                self._told[notice.key] = _Told(notice, now_ns)
                yield notice
            elif told is not None and now_ns - told.last_ns >= self._repeat_ns:
                told.last_ns = now_ns
                yield notice_of(row, "goes on", now_ns)
        if not rows or rows[0].verdict == "unknown":
            return
        for key in [key for key in self._told if key not in present]:
            yield _ended(self._told.pop(key).notice, now_ns)


def _ended(notice: Notice, now_ns: int) -> Notice:
    return Notice(
        state="ended",
        fault=notice.fault,
        culprit_kind=notice.culprit_kind,
        culprit=notice.culprit,
        culprit_name=notice.culprit_name,
        confidence=notice.confidence,
        onset_ns=notice.onset_ns,
        timestamp=now_ns,
        victims=notice.victims,
        host=notice.host,
    )
