"""The agent as people meet it: started with a policy, asked on a terminal, told what to do."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from kernelsight.agent.acting.action import Request
from kernelsight.agent.acting.audit import Ledger
from kernelsight.agent.acting.executor import Executor, Proposed, recorded
from kernelsight.agent.acting.policy import require_unprotected
from kernelsight.agent.acting.policy_file import load
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.agent.loop import Loop
from kernelsight.agent.reasoner import reasoner
from kernelsight.agent.wake import Wake
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.model import Entity
from kernelsight.errors import UsageError
from kernelsight.events.action import ActionStep, Answer
from kernelsight.printable import printable


def actor_of(db_path: str, policy_path: str | None) -> Executor:
    """Who takes actions on this machine, under a policy.

    Raises:
        PolicyError: the policy is wrong.
    """
    return Executor(Host(), load(policy_path), Ledger(db_path))


def run(  # noqa: PLR0913 - what the command was given
    db_path: str, policy_path: str | None, interval_s: float, stop: threading.Event, *, once: bool, heard: str | None
) -> Answer | None:
    """Run the loop until told to stop, or look once: then the verdict is returned.

    Raises:
        UsageError: the policy is wrong, or there is no such reasoner.
    """
    executor = actor_of(db_path, policy_path)
    loop = Loop(
        executor,
        log,
        ask if sys.stdin.isatty() else lambda _: None,
        reasoner(heard, db_path) if heard else None,
    )
    if once:
        loop.step()
        return loop.verdict
    log(f"the policy is to {executor.policy.mode}; a look every {interval_s:g} s, and when something stalls")
    reading, writing = os.pipe2(os.O_CLOEXEC)
    threading.Thread(target=_tell, args=(stop, writing), daemon=True).start()
    with Wake(executor.host, db_path, reading) as wake:
        loop.run(wake, interval_s)
    return None


def _tell(stop: threading.Event, writing: int) -> None:
    stop.wait()
    os.close(writing)


def say(line: str) -> None:
    """A line for a person; names from telemetry command no terminal."""
    click.echo(printable(line))


def log(line: str) -> None:
    """What the loop does, while it does it."""
    click.echo(printable(line), err=True)


def ask(proposed: Proposed) -> bool:
    """Ask the person at the terminal."""
    step = proposed.step
    return click.confirm(printable(f"{step.action} of {step.target_name} ({step.target}): do it?"), default=False)


def parameters_of(texts: Iterable[str]) -> dict[str, object]:
    """``name=value`` pairs; what a value means is for the action to say."""
    parameters: dict[str, object] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r}: write name=value", param_hint="--set")
        parameters[name] = value
    return parameters


def do_for_person(  # noqa: PLR0913 - what the command was given
    db_path: str, policy_path: str | None, action: str, target: str, parameters: Iterable[str], *, yes: bool
) -> None:
    """Show what an action would write, and write it if so told.

    Raises:
        RefusedError: the policy or the machine does not allow it.
    """
    executor = actor_of(db_path, policy_path)
    request = Request(action, entity_of(target), "person", parameters_of(parameters), why="a person asked for it")
    if not yes:
        plan = executor.plan(request)
        require_unprotected(executor.policy, plan.subject, executor.host)
        say(f"{action} of {plan.subject.name} would write:")
        for written in plan.changes:
            say(f"  {written.text}")
        say("nothing was written; --yes does it" + ("" if plan.reversible else ", and it cannot be undone"))
        return
    with _delivering(executor):
        _do(executor, executor.propose(request))


def approve_proposal(db_path: str, policy_path: str | None, name: str) -> None:
    """Do what was proposed.

    Raises:
        RefusedError: there is no such proposal, or it does not hold any more.
    """
    executor = actor_of(db_path, policy_path)
    with _delivering(executor):
        _do(executor, recorded(_proposal(executor, name), executor))


def decline_proposal(db_path: str, policy_path: str | None, name: str, why: str) -> None:
    """Turn down what was proposed.

    Raises:
        RefusedError: there is no such proposal.
    """
    executor = actor_of(db_path, policy_path)
    with _delivering(executor):
        executor.decline(_proposal(executor, name), why)
        say(f"{name} declined")


def undo_action(db_path: str, policy_path: str | None, name: str) -> None:
    """Put back what an action changed.

    Raises:
        RefusedError: there is nothing that can be put back.
    """
    executor = actor_of(db_path, policy_path)
    with _delivering(executor):
        step = executor.undo(name, "a person said so")
        say(f"{name}: {step.action} of {step.target_name} undone")


@contextmanager
def _delivering(executor: Executor) -> Iterator[None]:
    try:
        yield
    finally:
        executor.ledger.deliver()


def _do(executor: Executor, proposed: Proposed) -> None:
    step = executor.act(proposed, approved=True)
    for written in proposed.plan.changes:
        say(f"  {written.text}")
    say(
        f"{step.action_id}: done" + (f"; `kernelsight agent undo {step.action_id}`" if proposed.plan.reversible else "")
    )


def _proposal(executor: Executor, name: str) -> ActionStep:
    steps = executor.ledger.steps_of(name)
    if not steps:
        raise RefusedError(f"there is no proposal {name!r}; `kernelsight agent history` lists them")
    if steps[-1].stage != "proposed":
        raise RefusedError(f"{name} was decided already: {steps[-1].stage}")
    return steps[-1]


def entity_of(text: str) -> Entity:
    """Whom a person means: a pid, the path of a control group, or the machine."""
    if text.isascii() and text.isdigit():
        return process_entity(text, text)
    if text.startswith("/"):
        return Entity("cgroup", text, text)
    if text == "machine":
        return Entity("machine", text, text)
    raise UsageError(f"{text!r}: give a pid, the path of a control group, or `machine`")
