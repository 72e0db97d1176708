"""KernelSight's own diagnosis, asked as `kernelsight diagnose` is."""

from __future__ import annotations

from benchmarks.faultbench.case import Case
from benchmarks.faultbench.run import replayed
from benchmarks.faultbench.submission import Blamed, CaseAnswer, Found
from benchmarks.faultbench.system import LOOKS_BACK_NS, system

from kernelsight.diagnosis import diagnose


@system("kernelsight")
def kernelsight(case: Case) -> CaseAnswer:
    """The diagnosis of the last minute."""
    with replayed(case.path) as database:
        before, end = (_findings(database, moment) for moment in (case.before_ns, case.end_ns))
    return CaseAnswer(before=before, end=end)


def _findings(database: str, end_ns: int) -> list[Found]:
    return [
        Found(
            finding.fault,
            Blamed(finding.culprit.kind, finding.culprit.id, finding.culprit.name),
            round(finding.confidence, 3),
        )
        for finding in diagnose(database, end_ns - LOOKS_BACK_NS, end_ns).findings
    ]
