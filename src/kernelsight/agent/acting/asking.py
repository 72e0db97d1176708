"""What a model may ask for: an action that a finding of the deterministic diagnosis proposes, and no other."""

from __future__ import annotations

from collections.abc import Mapping

from kernelsight.agent.acting.action import Request
from kernelsight.agent.acting.executor import Executor, Proposed
from kernelsight.diagnosis.model import Diagnosis, Entity


def asked_by_model(
    executor: Executor, diagnosis: Diagnosis, action: str, target: Entity, parameters: Mapping[str, object]
) -> Proposed:
    """Plan and judge what a model asks for; the refusal is recorded as well as the proposal.

    Args:
        executor: who would act.
        diagnosis: what :func:`kernelsight.diagnosis.diagnose` says of the time that the model was asked about; a
            model's own findings do not count.
        action: name of an action.
        target: whom it is for.
        parameters: see the action.

    Raises:
        RefusedError: the policy forbids it, no finding proposes it, or the process is not there any more.
    """
    finding = next(
        (finding for finding in diagnosis.findings if any(proposal.target == target for proposal in finding.actions)),
        None,
    )
    request = Request(
        action=action,
        target=target,
        by="model",
        parameters=parameters,
        seen_ns=diagnosis.window.end_ns,
        finding=finding,
        why="a model asked for it",
    )
    return executor.propose(request)
