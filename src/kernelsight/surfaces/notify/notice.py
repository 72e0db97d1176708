"""What a notification says."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from kernelsight.diagnosis.model import Finding
from kernelsight.events.action import DiagnosisRow
from kernelsight.moments import to_second
from kernelsight.printable import printable

State = Literal["began", "goes on", "ended", "test"]
LONGEST_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class Notice:
    """One finding at one moment, for whoever is to be told. Every text is one printable line of bounded length."""

    state: State
    fault: str
    culprit_kind: str
    culprit: str
    culprit_name: str
    confidence: float
    onset_ns: int | None
    """When it began (ns since the epoch); None: not known."""
    timestamp: int
    """When the diagnosis was made that says so (ns since the epoch)."""
    victims: str = ""
    outlook: str = ""
    claims: tuple[str, ...] = ()
    """The path of the finding, a claim each."""
    to_do: tuple[str, ...] = ()
    """What can be done, and the command."""
    said: str = ""
    """The finding in a sentence; empty where the row has none."""
    host: str = field(default_factory=lambda: printable(socket.gethostname()))

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        who = self.culprit_name if self.culprit_name == self.culprit else f"{self.culprit_name} ({self.culprit})"
        fault = self.fault.replace("_", " ")
        if self.state == "ended":
            return f"{self.host}: over: {fault} by {self.culprit_kind} {who}"
        since = f" since {to_second(self.onset_ns)}" if self.onset_ns else ""
        if self.said:
            return f"{self.host}: {'still: ' if self.state == 'goes on' else ''}{self.said}"
        harmed = f"; {self.victims} suffers" if self.victims else ""
        again = "still: " if self.state == "goes on" else ""
        return f"{self.host}: {again}{fault} by {self.culprit_kind} {who}{since}{harmed} ({self.confidence:.0%} sure)"

    @property
    def text(self) -> str:
        """The whole in a few lines, for people."""
        lines = [self.sentence, *(f"  {number}. {claim}" for number, claim in enumerate(self.claims, 1))]
        lines += [f"  if nothing is done: {self.outlook}"] if self.outlook and self.state != "ended" else []
        lines += [f"  to do: {line}" for line in self.to_do if self.state != "ended"]
        return "\n".join(lines)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the finding from others."""
        return self.fault, self.culprit_kind, self.culprit


def notice_of(row: DiagnosisRow, state: State, now_ns: int) -> Notice:
    """What there is to say of a finding that the agent wrote down.

    A row that another program wrote, with a finding that is none, is told of without its path.
    """
    claims, to_do = _details(row.finding)
    return Notice(
        state=state,
        fault=_line(row.fault),
        culprit_kind=_line(row.culprit_kind),
        culprit=_line(row.culprit),
        culprit_name=_line(row.culprit_name or row.culprit),
        confidence=float(row.confidence or 0),
        onset_ns=row.onset_ns,
        timestamp=now_ns,
        victims=_line(row.victims),
        outlook=_line(row.outlook),
        claims=claims,
        to_do=to_do,
        said=_line(row.sentence),
    )


def _details(finding: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        whole = msgspec.json.decode(finding or "", type=Finding)
    except (msgspec.MsgspecError, TypeError):
        return (), ()
    return tuple(_line(step.claim) for step in whole.path), tuple(_line(action.text) for action in whole.actions)


def _line(text: str | None) -> str:
    return printable(text or "")[:LONGEST_TEXT]
