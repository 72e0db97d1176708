"""Play faults, score the diagnosis, and score anybody's answers.

python -m benchmarks.faultbench list [--recorded]
python -m benchmarks.faultbench run [NAME ...] [--repeat 1] [--seed 1] [--late] [--json] [--record] [--database FILE]
python -m benchmarks.faultbench replay [NAME ...] [--json] [--no-tracers]
python -m benchmarks.faultbench idle [--minutes 30]
python -m benchmarks.faultbench export FOLDER [NAME ...] [--csv]
python -m benchmarks.faultbench answer SYSTEM [NAME ...]
python -m benchmarks.faultbench score ANSWERS [--json]
python -m benchmarks.faultbench compare [ANSWERS ...]
python -m benchmarks.faultbench classes
python -m benchmarks.faultbench schema

`run` starts the collectors, plays each scenario, asks for a diagnosis every second after the onset
and one second before the end, and holds the answers against the truth that the scenario wrote.
`--record` keeps what the collectors said in `cases/`, which `replay` (and the tests) score again;
`--database` keeps the store of the last run. With `--late` the collectors start when the fault is there, and it goes
on for long enough that they have ten seconds of it.
`--no-tracers` leaves out of a replay what only eBPF tracers say: what an ordinary user's diagnosis has.
`idle` watches a machine on which nothing is played, and prints what was found all the same.
`export` writes the recorded cases for other programs, `answer` prints what one of the bench's own systems answers,
`score` judges a document of answers, and `compare` sets the bench's own systems and further documents side by side
(README.md says what is in them; `schema` prints the JSON Schema, `classes` the classes of faults).
`run` needs root for most scenarios. Status 1: a run or an answer was wrong; 2: an argument or a document is.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from pathlib import Path

import msgspec
from benchmarks.faultbench import tables
from benchmarks.faultbench.case import Case, recorded
from benchmarks.faultbench.export import export
from benchmarks.faultbench.recording import CASES, cases
from benchmarks.faultbench.run import Score, idle, missing, play, replay
from benchmarks.faultbench.scenario import scenarios
from benchmarks.faultbench.scoring import score, total
from benchmarks.faultbench.submission import LARGEST_BYTES, Submission, SubmissionError, read_submission
from benchmarks.faultbench.system import systems

from kernelsight.diagnosis.registry import fault_classes


def main() -> int:
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # so that what was started is ended, too
    try:
        return int(arguments.do(arguments))
    except (SubmissionError, OSError) as error:
        print(f"faultbench: {error}", file=sys.stderr)
        return 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faultbench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[argparse.Namespace], int], *, names: bool = False) -> argparse.ArgumentParser:
        own = commands.add_parser(name)
        own.set_defaults(do=do)
        if names:
            own.add_argument("names", nargs="*", metavar="NAME")
        return own

    command("list", list_).add_argument("--recorded", action="store_true", help="names of the recorded cases")
    playing = command("run", run_or_replay, names=True)
    playing.set_defaults(results=runs)
    playing.add_argument("--repeat", type=int, default=1)
    playing.add_argument("--seed", type=int, default=1)
    playing.add_argument("--json", action="store_true")
    playing.add_argument("--record", action="store_true")
    playing.add_argument("--late", action="store_true")
    playing.add_argument("--database", type=Path)
    replaying = command("replay", run_or_replay, names=True)
    replaying.set_defaults(results=replays)
    replaying.add_argument("--json", action="store_true")
    replaying.add_argument("--no-tracers", action="store_true")
    command("idle", watch).add_argument("--minutes", type=float, default=30)
    exporting = command("export", export_)
    exporting.add_argument("folder", type=Path, metavar="FOLDER")
    exporting.add_argument("names", nargs="*", metavar="NAME")
    exporting.add_argument("--csv", action="store_true", help="a file for each table instead of NDJSON")
    answering = command("answer", answer)
    answering.add_argument("system", metavar="SYSTEM", choices=sorted(systems()))
    answering.add_argument("names", nargs="*", metavar="NAME")
    scoring = command("score", score_)
    scoring.add_argument("document", metavar="ANSWERS", help="a file; - is standard input")
    scoring.add_argument("--json", action="store_true")
    command("compare", compare).add_argument("documents", nargs="*", metavar="ANSWERS")
    command("classes", classes)
    command("schema", schema)
    return parser.parse_args()


def list_(arguments: argparse.Namespace) -> int:
    if arguments.recorded:
        for case in recorded():
            print(case.name)
        return 0
    for scenario in scenarios().values():
        first_line = (scenario.play.__doc__ or "").splitlines()[0]
        print(f"{scenario.name:32} {' '.join(sorted(scenario.tags)):24} {first_line}")
    return 0


def watch(arguments: argparse.Namespace) -> int:
    answers = idle(arguments.minutes)
    print(json.dumps({"minutes": arguments.minutes, "answers_with_findings": answers}, indent=1))
    return 1 if answers else 0


def run_or_replay(arguments: argparse.Namespace) -> int:
    scores = []
    for result in arguments.results(arguments):
        scores.append(result)
        print(line(result), file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps({"summary": summary(scores), "runs": [asdict(result) for result in scores]}, indent=1))
    else:
        print(json.dumps(summary(scores), indent=1))
    return 0 if all(result.right for result in scores) else 1


def export_(arguments: argparse.Namespace) -> int:
    number = export(chosen_cases(arguments.names), arguments.folder, as_csv=arguments.csv)
    print(f"{number} cases in {arguments.folder}")
    return 0


def answer(arguments: argparse.Namespace) -> int:
    document = answers_of(arguments.system, chosen_cases(arguments.names))
    print(msgspec.json.format(msgspec.json.encode(document), indent=1).decode())
    return 0


def score_(arguments: argparse.Namespace) -> int:
    cases = recorded()
    submission = read(arguments.document)
    scores = score(submission, cases)
    if arguments.json:
        result = {
            "system": submission.system,
            "total": asdict(total(scores)),
            "cases": [msgspec.to_builtins(case) for case in scores],
        }
        print(json.dumps(result, indent=1))
    else:
        print("\n".join([*tables.comparison({submission.system: scores}), "", *tables.cases(scores)]))
    return 0 if all(case.right for case in scores) else 1


def compare(arguments: argparse.Namespace) -> int:
    cases = recorded()
    submissions = [read(document) for document in arguments.documents]
    scores = {submission.system: score(submission, cases) for submission in submissions}
    for name in systems():
        scores.setdefault(name, score(answers_of(name, cases), cases))
    print("\n".join(tables.comparison(scores)))
    return 0


def classes(_: argparse.Namespace) -> int:
    for name, declared in sorted(fault_classes().items()):
        print(f"{name:24} {declared.meaning}")
    return 0


def schema(_: argparse.Namespace) -> int:
    print(json.dumps(msgspec.json.schema(Submission), indent=1))
    return 0


def read(document: str) -> Submission:
    """A document of answers.

    Raises:
        SubmissionError: it cannot be scored.
        OSError: it cannot be read.
    """
    with sys.stdin.buffer if document == "-" else Path(document).open("rb") as file:
        return read_submission(file.read(LARGEST_BYTES + 1), {case.name for case in recorded()})


def answers_of(name: str, cases: Iterable[Case]) -> Submission:
    """What one of the bench's systems answers."""
    answering = systems()[name].answer
    return Submission("faultbench-answers/1", name, {case.name: answering(case) for case in cases})


def chosen_cases(names: Collection[str]) -> list[Case]:
    """The cases of these names, or all of them."""
    cases = recorded(names)
    if unknown := set(names) - {case.name for case in cases}:
        raise SubmissionError(f"no case is called {', '.join(sorted(unknown))}; `list --recorded` lists all")
    return cases


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


def line(result: Score) -> str:
    head = f"{'ok  ' if result.right else 'FAIL'} {result.scenario} ({result.seed})"
    false = f"; false: {'; '.join(result.false_alarms)}" if result.false_alarms else ""
    if result.fault is None:
        return f"{head}: control{false}"
    answered = f"{result.top['fault']} by {result.top['culprit']['name']}" if result.top else "nothing"
    missing = f"{'' if result.grounded else ', not grounded'}{'' if result.also_found else ', not all faults'}"
    return f"{head}: {result.fault}, found {answered}, after {result.detected_s} s{missing}{false}"


def summary(scores: list[Score]) -> dict[str, object]:
    faults = [result for result in scores if result.fault]
    controls = [result for result in scores if not result.fault]
    times = [result.detected_s for result in faults if result.detected_s is not None]
    return {
        "runs": len(scores),
        "class_and_culprit_right": sum(result.class_right and result.culprit_right for result in faults),
        "of_faults": len(faults),
        "grounded": sum(result.grounded for result in faults),
        "detected_median_s": statistics.median(times) if times else None,
        "detected_worst_s": max(times, default=None),
        "never_detected": sum(result.detected_s is None for result in faults),
        "controls_with_findings": sum(bool(result.false_alarms) for result in controls),
        "of_controls": len(controls),
        "false_alarms_before_onset": sum(bool(result.false_alarms) for result in faults),
        "answer_ms_median": statistics.median(result.answer_ms for result in scores) if scores else None,
    }


if __name__ == "__main__":
    raise SystemExit(main())
