"""What the deterministic diagnosis says."""

from __future__ import annotations

import msgspec

from kernelsight.agent.sanitising import Data, moment
from kernelsight.agent.tool import Desk, tool
from kernelsight.diagnosis import diagnose as diagnosed
from kernelsight.diagnosis.changed import told as change_told
from kernelsight.diagnosis.model import Evidence, Finding, Muted


@tool
def diagnose(desk: Desk, since: str | None = None, until: str | None = None) -> Data:
    """Run the deterministic diagnosis: faults with culprit, victims and a path whose evidence can be cited by `ref`.

    It follows who waits for whom, and is right in most cases. What it ruled out is said with what speaks against it.
    `healthy` is null where that is not known: `unknown` says what was not recorded, and nothing may be concluded from
    it. `muted` findings are there, but a person acknowledged them. `not_excluded` names the faults that may be there
    because nothing recorded what would show them. `processes` says who the processes are that findings name: their
    unit of systemd, container, control group, user, and parents. What `changed_shortly_before` touches the finding and
    is no cause by itself; the tool `changes` lists all, with rows to cite.

    Args:
        since: where the time begins, in UTC; the window in question when not given. Half a minute or more is best.
        until: where it ends.
    """
    when = desk.range(since, until)
    diagnosis = diagnosed(desk.source, when.start_ns, when.end_ns)
    return {
        "healthy": diagnosis.healthy,
        "unknown": list(diagnosis.unknown),
        "clock": [{"at": moment(note.timestamp), "what": note.text} for note in diagnosis.notes],
        "processes": msgspec.to_builtins(diagnosis.identities),
        "findings": [_finding(desk, finding) for finding in diagnosis.findings],
        "ruled_out": [msgspec.to_builtins(ruled_out) for ruled_out in diagnosis.ruled_out],
        "could_not_be_looked_at": list(diagnosis.unseen),
        "muted": [_muted(desk, muted) for muted in diagnosis.muted],
        "not_excluded": msgspec.to_builtins(diagnosis.not_excluded),
    }


def _muted(desk: Desk, muted: Muted) -> Data:
    told: Data = {"by": muted.muted_by, "reason": muted.reason, "until": moment(muted.until_ns)}
    return {**told, "finding": _finding(desk, muted.finding)}


def _finding(desk: Desk, finding: Finding) -> Data:
    told: Data = msgspec.to_builtins(finding)
    told["onset"] = moment(told.pop("onset_ns"))
    told["changed_shortly_before"] = [change_told(change) for change in finding.changes]
    told.pop("changes")
    told["path"] = [
        {"claim": step.claim, "evidence": [shown(desk, evidence) for evidence in step.evidence]}
        for step in finding.path
    ]
    return told


def shown(desk: Desk, evidence: Evidence) -> Data:
    """Evidence as a model sees it: a number under a name by which it can be cited."""
    told = {
        "ref": desk.ledger.enter(evidence),
        "table": evidence.table,
        "metric": evidence.metric,
        "how": evidence.how,
        "value": evidence.value,
        "rows": len(evidence.row_ids),
        "first": moment(evidence.start_ns),
        "last": moment(evidence.end_ns),
    }
    return told if evidence.baseline is None else {**told, "before": evidence.baseline}
