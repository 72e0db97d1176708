"""One run: collectors, the scenario, and the diagnosis asked as a person would, then scored."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.faultbench import recording
from benchmarks.faultbench.harm import harms
from benchmarks.faultbench.scenario import Scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Truth

from kernelsight.diagnosis import Diagnosis, diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.ingest import daemon

NS = 1_000_000_000
QUIET_S = (5, 9)
"""Between which a scenario is quiet before its fault."""
LATE_S = 4
"""How long a fault has been there when the collectors start, where they come late."""
HISTORY_S = 13
"""How long it goes on then at least: two seconds until the collectors are up, ten of history, and a second left."""
LOOKS_BACK_S = 60
IDLE_STEP_S = 20
"""An idle machine is asked about so often."""

Ask = Callable[[str, int, int], Diagnosis]
"""Who is asked: the database, and the first and the last moment (ns) of the window."""


@dataclass
class Score:
    """How a run went."""

    scenario: str
    seed: int
    fault: str | None
    class_right: bool = False
    culprit_right: bool = False
    grounded: bool = False
    also_found: bool = True
    """The further faults of the run are among the findings too."""
    detected_s: float | None = None
    """After the onset, from when on the first finding is right."""
    false_alarms: list[str] = field(default_factory=list)
    """Findings that were there before the onset, or on a control."""
    answer_ms: float = 0.0
    top: dict[str, Any] = field(default_factory=dict)
    harm: list[dict[str, Any]] = field(default_factory=list)
    """What the programs that do not cause it say of themselves, as :class:`~benchmarks.faultbench.harm.Harm`."""

    @property
    def right(self) -> bool:
        """All that can be asked for."""
        is_found = self.class_right and self.culprit_right and self.grounded and self.also_found
        return not self.false_alarms and (is_found or self.fault is None)


class Collection:
    """`kernelsight collect`, its lines kept and passed on to `kernelsight ingest`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.db"
        self.lines: list[bytes] = []
        command = [sys.executable, "-m", "kernelsight"]
        self._collect = subprocess.Popen([*command, "collect"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._ingest = subprocess.Popen(
            [*command, "ingest", "--db-path", str(self.path)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._copier = threading.Thread(target=self._copy)
        self._copier.start()
        self.pids = {self._collect.pid: "kernelsight", self._ingest.pid: "kernelsight"}

    def _copy(self) -> None:
        assert self._collect.stdout is not None
        assert self._ingest.stdin is not None
        while data := self._collect.stdout.read1(1 << 16):  # type: ignore[attr-defined]
            self.lines.append(data)
            self._ingest.stdin.write(data)
            self._ingest.stdin.flush()
        self._ingest.stdin.close()

    def end(self) -> None:
        """Stop, and wait until everything is stored."""
        self._collect.terminate()
        self._collect.wait(30)
        self._copier.join(30)
        self._ingest.wait(30)


def play(
    scenario: Scenario, seed: int, *, late: bool = False, keep: Path | None = None, database: Path | None = None
) -> Score:
    """Run a scenario once.

    Args:
        scenario: what to play.
        seed: of its names and intensities.
        late: start the collectors when the fault is there already.
        keep: folder for the recording, NAME.ndjson.zst and NAME.json.
        database: where to keep the store that the run has filled.
    """
    with Stage(seed) as stage, ExitStack() as collecting:

        def collect() -> Collection:
            collection = Collection(stage.folder)
            collecting.callback(collection.end)
            return collection

        collection = None if late else collect()
        playing = scenario.play(stage)
        time.sleep(2)  # the collectors come up
        next(playing)
        time.sleep(stage.chance.uniform(*QUIET_S))
        onset = time.time_ns()
        truth = next(playing)
        if collection is None:
            time.sleep(LATE_S)
            collection = collect()
        lasts = stage.chance.uniform(0.7, 1.0) * scenario.lasts_s
        if late:
            lasts = max(lasts, LATE_S + HISTORY_S)
        time.sleep(max(0.0, lasts - (time.time_ns() - onset) / NS))
        offset = time.time_ns()
        ours = collection.pids | {pid: name for actor in stage.actors for pid, name in actor.family().items()}
        playing.close()
        collecting.close()
        truth_of = {
            "onset_ns": onset,
            "offset_ns": offset,
            "truth": asdict(truth),
            "scenario": scenario.name,
            "seed": seed,
            "harm": [asdict(suffered) for suffered in harms(stage.measured, onset, offset, but=truth.names)],
        }
        if keep is not None:
            recording.keep(keep, truth_of, b"".join(collection.lines), ours, stage.names)
        if database is not None:
            shutil.copyfile(collection.path, database)
        return score(str(collection.path), truth_of, truth, diagnosed)


def replay(path: Path, *, tracers: bool = True, ask: Ask | None = None) -> Score:
    """Score a recorded run, also without what the tracers said, or as somebody else answers."""
    truth_of = recording.about(path)
    with replayed(path, tracers=tracers) as database:
        return score(database, truth_of, msgspec.convert(truth_of["truth"], Truth), ask or diagnosed)


@contextmanager
def replayed(path: Path, *, tracers: bool = True) -> Iterator[str]:
    """The store that a recorded run fills."""
    with tempfile.TemporaryDirectory(prefix="faultbench-replay-") as folder:
        database, lines, log = Path(folder) / "run.db", Path(folder) / "lines", io.StringIO()
        lines.write_bytes(recording.read(path, tracers=tracers))
        with lines.open("rb") as source:  # by the daemon, but in this process: to start another takes most of the time
            if daemon.run(source.fileno(), str(database), daemon.Settings(), log):
                raise RuntimeError(f"{path} could not be stored: {log.getvalue()}")
        yield str(database)


def score(database: str, truth_of: Mapping[str, Any], truth: Truth, ask: Ask) -> Score:
    """Ask at several moments and hold the answers against the truth."""

    def asked(end: int) -> Diagnosis:
        return ask(database, end - LOOKS_BACK_S * NS, end)

    onset, offset = truth_of["onset_ns"], truth_of["offset_ns"]
    result = Score(truth_of["scenario"], truth_of["seed"], truth.fault, harm=truth_of.get("harm", []))
    before = asked(onset - NS)
    result.false_alarms = [f"{f.fault} by {f.culprit.name} before the onset" for f in before.findings]
    began = time.perf_counter()
    last = asked(offset - NS)
    result.answer_ms = round(1e3 * (time.perf_counter() - began), 1)
    if last.findings:
        result.top = {"fault": last.findings[0].fault, "culprit": msgspec.to_builtins(last.findings[0].culprit)}
    if truth.fault is None:
        result.false_alarms += [f"{f.fault} by {f.culprit.name}" for f in last.findings]
        return result
    result.class_right, result.culprit_right = matches(last, truth, top=True)
    first = last.findings[:1]
    result.grounded = bool(first) and grounded(database, first[0])
    result.also_found = all(all(matches(last, other, top=False)) for other in truth.also)
    for seconds in range(2, int((offset - onset) / NS) + 1):
        if all(matches(asked(onset + seconds * NS), truth, top=True)):
            result.detected_s = float(seconds)
            break
    return result


def matches(answer: Diagnosis, truth: Truth, *, top: bool) -> tuple[bool, bool]:
    """Whether the first (or any) finding has the right class, and the right culprit too."""
    candidates = answer.findings[:1] if top and not truth.also else answer.findings
    right = [finding for finding in candidates if finding.fault in truth.right]
    named = [f for f in right if any(c.is_named(msgspec.to_builtins(f.culprit)) for c in truth.culprits)]
    return bool(right), bool(named)


def diagnosed(database: str, start: int, end: int) -> Diagnosis:
    """The diagnosis of a window."""
    return diagnose(database, start, end)


def idle(minutes: float) -> list[str]:
    """Watch a machine with which nothing is wrong; a line for each answer that finds something all the same."""
    with tempfile.TemporaryDirectory(prefix="faultbench-idle-") as folder:
        collection = Collection(Path(folder))
        began = time.time_ns()
        time.sleep(60 * minutes)
        collection.end()
        moments = range(began + IDLE_STEP_S * NS, time.time_ns(), IDLE_STEP_S * NS)
        answers = [(moment, diagnosed(str(collection.path), moment - LOOKS_BACK_S * NS, moment)) for moment in moments]
    return [
        f"{(moment - began) // NS} s: "
        + "; ".join(f"{finding.fault} by {finding.culprit.name} ({finding.confidence})" for finding in answer.findings)
        for moment, answer in answers
        if answer.findings
    ]


def missing(scenario: Scenario) -> Sequence[str]:
    """Commands that a scenario needs and that are not here."""
    return [command for command in scenario.needs if shutil.which(command) is None]
