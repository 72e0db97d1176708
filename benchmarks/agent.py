"""Put the recorded faults before the agent: offline, and with models that are scripts.

python benchmarks/agent.py [CASE ...]

The scripts speak the wire of a model, on loopback. One repeats what the diagnosis says, in its own claims: nothing
right may be lost on the way through tools, citations and their check. One says that all is well, and one blames the
first who suffers, with evidence that exists: neither may make a right answer wrong. A case is right when the first
finding has the right class and culprit and is proven, and nothing was found before the onset.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "agent"))

from benchmarks.faultbench import recording
from benchmarks.faultbench.run import Score, replay
from server import KEY, Says, answers, calls, serving

from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.diagnosis import Diagnosis
from kernelsight.query.times import TimeRange

Body = dict[str, Any]


def repeats(body: Body) -> Says:
    """Ask for the diagnosis, and say the same again."""
    return _after_diagnosis(body, lambda findings: [_claimed(finding, finding["culprit"]) for finding in findings])


def blames_the_victim(body: Body) -> Says:
    """Turn cause and effect round, as sure as can be."""
    return _after_diagnosis(
        body, lambda findings: [_claimed(finding, victim) for finding in findings for victim in finding["victims"][:1]]
    )


def denies(body: Body) -> Says:
    """Look at nothing, and find nothing."""
    del body
    return answers(limits=["all is well"])


def _after_diagnosis(body: Body, conclude: Callable[[list[Body]], list[Body]]) -> Says:
    last = body["contents"][-1]["parts"][0]
    if "functionResponse" not in last:
        return calls(("diagnose", {}), step=len(body["contents"]))
    return answers(findings=conclude(last["functionResponse"]["response"]["output"]["findings"]))


def _claimed(finding: Body, culprit: Body) -> Body:
    path = [
        {"claim": f"step {number}", "evidence": [evidence["ref"] for evidence in step["evidence"]]}
        for number, step in enumerate(finding["path"])
    ]
    names = ("fault", "victims", "refuted_by", "outlook", "actions")
    kept = {name: finding[name] for name in names}
    return {**kept, "culprit": culprit, "since": finding["onset"], "confidence": 1.0, "path": path}


def ask(name: str, database: str, start: int, end: int) -> Diagnosis:
    """What a reasoner says is wrong in a window."""
    report = reasoner(name, database).ask(Question(TimeRange(start, end)))
    if report.stopped:
        raise SystemExit(f"the agent stopped: {report.stopped}")
    return report.diagnosis


def score(name: str, cases: Iterable[Path]) -> dict[str, Any]:
    """Right answers of one reasoner."""
    began = time.perf_counter()
    scores: list[Score] = [replay(case, ask=partial(ask, name)) for case in cases]
    wrong = [answer.scenario for answer in scores if not answer.right]
    return {
        "right": len(scores) - len(wrong),
        "of": len(scores),
        "wrong": wrong,
        "answer_ms_each": sorted(answer.answer_ms for answer in scores)[len(scores) // 2],
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    cases = recording.cases(sys.argv[1:])
    scored = {"offline": score("offline", cases)}
    for script in (repeats, denies, blames_the_victim):
        with serving(script) as server:
            os.environ |= {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}
            scored[f"a model that {script.__name__.replace('_', ' ')}"] = score("gemini", cases)
            if server.refusals:
                raise SystemExit(f"requests that are not as they must be: {server.refusals[:3]}")
    print(json.dumps(scored, indent=1))


if __name__ == "__main__":
    main()
