"""Play faults and score the diagnosis.

python -m benchmarks.faultbench list
python -m benchmarks.faultbench run [NAME ...] [--repeat 1] [--seed 1] [--late] [--json] [--record] [--database FILE]
python -m benchmarks.faultbench replay [NAME ...] [--json] [--no-tracers]
python -m benchmarks.faultbench idle [--minutes 30]

`run` starts the collectors, plays each scenario, asks for a diagnosis every second after the onset
and one second before the end, and holds the answers against the truth that the scenario wrote.
`--record` keeps what the collectors said in `cases/`, which `replay` (and the tests) score again;
`--database` keeps the store of the last run. With `--late` the collectors start when the fault is there, and it goes
on for long enough that they have ten seconds of it.
`--no-tracers` leaves out of a replay what only eBPF tracers say: what an ordinary user's diagnosis has.
`idle` watches a machine on which nothing is played, and prints what was found all the same.
Needs root for most scenarios. Ends with status 1 when a run went wrong.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmarks.faultbench.recording import CASES, cases
from benchmarks.faultbench.run import Score, idle, missing, play, replay
from benchmarks.faultbench.scenario import scenarios


def main() -> int:
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # so that what was started is ended, too
    if arguments.command == "list":
        for one in scenarios().values():
            print(f"{one.name:32} {' '.join(sorted(one.tags)):24} {(one.play.__doc__ or '').splitlines()[0]}")
        return 0
    if arguments.command == "idle":
        found = idle(arguments.minutes)
        print(json.dumps({"minutes": arguments.minutes, "answers_with_findings": found}, indent=1))
        return 1 if found else 0
    scores = []
    for result in runs(arguments) if arguments.command == "run" else replays(arguments):
        scores.append(result)
        print(line(result), file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps({"summary": summary(scores), "runs": [asdict(one) for one in scores]}, indent=1))
    else:
        print(json.dumps(summary(scores), indent=1))
    return 0 if all(one.right for one in scores) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faultbench", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("list", "run", "replay", "idle"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--late", action="store_true")
    parser.add_argument("--no-tracers", action="store_true")
    parser.add_argument("--database", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    return parser.parse_args()


def runs(arguments: argparse.Namespace) -> Iterable[Score]:
    chosen = arguments.names or list(scenarios())
    for name in chosen:
        if name not in scenarios():
            raise SystemExit(f"no scenario is called {name!r}; `list` shows all")
        if absent := missing(scenarios()[name]):
            print(f"{name}: left out, because {', '.join(absent)} is missing", file=sys.stderr)
            continue
        for turn in range(arguments.repeat):
            yield play(
                scenarios()[name],
                arguments.seed + turn,
                late=arguments.late,
                keep=CASES if arguments.record else None,
                database=arguments.database,
            )


def replays(arguments: argparse.Namespace) -> Iterable[Score]:
    for path in cases(arguments.names):
        yield replay(path, tracers=not arguments.no_tracers)


def line(one: Score) -> str:
    head = f"{'ok  ' if one.right else 'FAIL'} {one.scenario} ({one.seed})"
    false = f"; false: {'; '.join(one.false_alarms)}" if one.false_alarms else ""
    if one.fault is None:
        return f"{head}: control{false}"
    found = f"{one.top['fault']} by {one.top['culprit']['name']}" if one.top else "nothing"
    missing = f"{'' if one.grounded else ', not grounded'}{'' if one.also_found else ', not all faults'}"
    return f"{head}: {one.fault}, found {found}, after {one.detected_s} s{missing}{false}"


def summary(scores: list[Score]) -> dict[str, object]:
    faults = [one for one in scores if one.fault]
    controls = [one for one in scores if not one.fault]
    times = [one.detected_s for one in faults if one.detected_s is not None]
    return {
        "runs": len(scores),
        "class_and_culprit_right": sum(one.class_right and one.culprit_right for one in faults),
        "of_faults": len(faults),
        "grounded": sum(one.grounded for one in faults),
        "detected_median_s": statistics.median(times) if times else None,
        "detected_worst_s": max(times, default=None),
        "never_detected": sum(one.detected_s is None for one in faults),
        "controls_with_findings": sum(bool(one.false_alarms) for one in controls),
        "of_controls": len(controls),
        "false_alarms_before_onset": sum(bool(one.false_alarms) for one in faults),
        "answer_ms_median": statistics.median(one.answer_ms for one in scores) if scores else None,
    }


if __name__ == "__main__":
    raise SystemExit(main())
