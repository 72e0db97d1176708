"""Help that can be used: whole sentences, examples that work as they are typed, and completion by the Tab key."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest
from processes import PATIENCE_S, environment, kernelsight

from kernelsight.surfaces.cli.main import main

WITHOUT_EXAMPLES = {
    "watch", "detect", "list", "actions", "approve", "decline", "do", "history", "show", "undo", "check", "example",
}  # fmt: skip
"""Commands of a group whose own examples show how they are used."""


def contexts(context=None):
    """A context for every command that is not hidden."""
    context = context or click.Context(main, info_name="kernelsight")
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if not command.hidden:
                yield from contexts(click.Context(command, parent=context, info_name=name))


ALL = {context.command_path: context for context in contexts()}
EXAMPLES = [(path, line) for path, context in ALL.items() for line in context.command.examples]


def test_every_command_shows_how_it_is_typed():
    lacking = {path for path, context in ALL.items() if not context.command.examples} - {"kernelsight"}
    assert {path.rpartition(" ")[2] for path in lacking} <= WITHOUT_EXAMPLES


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_examples_are_what_the_command_line_takes(path, line):
    typed = line.partition(">")[0].rpartition("|")[2] if ">" in line.partition("'")[0] else line.rpartition("| ")[2]
    words = shlex.split(typed, comments=True)
    words = words[words[0] == "sudo" :]
    if words[0] != "kernelsight":
        pytest.skip("a line for a shell's own settings")
    context, arguments = click.Context(main, info_name="kernelsight"), words[1:]
    while arguments and isinstance(context.command, click.Group) and not arguments[0].startswith("-"):
        name, command, rest = context.command.resolve_command(context, arguments)
        context = command.make_context(name, [*rest], parent=context)
        arguments = [*context._protected_args, *context.args]
    assert context.command_path.startswith(path) or "|" in line


@pytest.mark.parametrize("path", ALL)
def test_nothing_of_the_help_is_cut_at_80_columns(path):
    context = ALL[path]
    text = click.Context(
        context.command, parent=context.parent, info_name=context.info_name, terminal_width=80
    ).get_help()
    assert "..." not in text.replace("]...", "")
    if isinstance(context.command, click.Group):
        shown = " ".join(text.split())
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command.hidden or command.get_short_help_str(10_000) in shown


def completed(*words):
    """What the Tab key offers after these words, the last of them unfinished."""
    typed = {"COMP_WORDS": shlex.join(["kernelsight", *words]), "COMP_CWORD": str(len(words))}
    variables = {"_KERNELSIGHT_COMPLETE": "bash_complete", **typed}
    program = "from kernelsight.surfaces.cli.main import main; main(prog_name='kernelsight')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(**variables), capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_the_tab_key_knows_tables_metrics_times_collectors_and_rules():
    assert completed("query", "top", "syscall_ev") == ["syscall_events"]
    assert completed("query", "top", "syscall_events", "lat") == ["latency_ns"]
    assert completed("query", "top", "memory", "latency") == []
    assert completed("query", "range", "memory", "--columns", "timestamp,mem_to") == ["timestamp,mem_total_kb"]
    assert "15m" in completed("diagnose", "--since", "1")
    assert completed("collect", "tcp_retransmit_event") == ["tcp_retransmit_event"]
    assert "cgroup_throttled" in completed("signals", "--rule", "cgroup_th")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_this_program(shell):
    done = kernelsight("completion", shell)
    assert done.returncode == 0, done.stderr
    assert f"_KERNELSIGHT_COMPLETE={shell}_complete" in done.stdout
