"""A reasoner is asked about new findings; its proposals that no finding makes are judged and noted."""

from __future__ import annotations

from collections.abc import Callable

from kernelsight.agent.acting.asking import asked_by_model
from kernelsight.agent.acting.executor import Executor
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.agent.reasoner import Question, Reasoner
from kernelsight.diagnosis.model import Diagnosis, Proposal
from kernelsight.diagnosis.naming import named
from kernelsight.errors import UsageError
from kernelsight.query.times import TimeRange

_NOTHING = frozenset({"look"})
"""What a person is asked to do is no action."""
_MOST_PROPOSALS = 10
"""Of one report: each is recorded, whatever becomes of it."""


def consult(executor: Executor, reasoner: Reasoner, diagnosis: Diagnosis, say: Callable[[str], None]) -> None:
    """Let a reasoner investigate, say what it adds, and put what it proposes to the policy.

    What the deterministic diagnosis proposes too, the loop decides about by itself. Anything else is refused, and the
    refusal recorded: see :func:`kernelsight.agent.acting.policy.judge`.

    Raises:
        StoreError: the store cannot be read or the record not be written.
    """
    window = diagnosis.window
    try:
        report = reasoner.ask(Question(TimeRange(window.start_ns, window.end_ns)), say)
    except UsageError as error:
        say(f"{reasoner.name} cannot be asked: {error}")
        return
    if report.stopped:
        say(f"{report.reasoner} gave no answer: {report.stopped}")
    for step in report.answer:
        say(f"{report.reasoner}: {step.claim}")
    known = {(proposal.action, proposal.target) for finding in diagnosis.findings for proposal in finding.actions}
    beyond = [
        proposal
        for proposal in report.proposals
        if (proposal.action, proposal.target) not in known and proposal.action not in _NOTHING
    ]
    for proposal in beyond[:_MOST_PROPOSALS]:
        _put(executor, diagnosis, proposal, say)


def _put(executor: Executor, diagnosis: Diagnosis, proposal: Proposal, say: Callable[[str], None]) -> None:
    try:
        asked_by_model(executor, diagnosis, proposal.action, proposal.target, {})
    except RefusedError as error:
        say(f"{proposal.action} of {named(proposal.target)}, asked for by a model, refused: {error}")
