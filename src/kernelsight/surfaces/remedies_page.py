"""The page of the remedies, written from their declarations and from the actions that carry them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kernelsight.agent.acting.action import Registered
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.model import Entity, EntityKind
from kernelsight.diagnosis.remedies import MACHINE, Remedy
from kernelsight.diagnosis.shell import SPLIT, UNIFIED, NotTypedError, Shell

_TARGETS: Mapping[EntityKind, Entity] = {
    "process": process_entity(9622, "crunch"),
    "program": Entity("program", "crunch", "crunch"),
    "cgroup": Entity("cgroup", "/batch", "/batch"),
    "device": Entity("device", "sda", "sda"),
    "mount": Entity("mount", "/var", "/var"),
    "interface": Entity("interface", "eth0", "eth0"),
    "listener": Entity("listener", "0.0.0.0:80", "0.0.0.0:80"),
    "rule": Entity("rule", "input", "input"),
    "limit": Entity("limit", "RLIMIT_NPROC", "RLIMIT_NPROC"),
    "machine": MACHINE,
}
_GIVEN: Mapping[str, str] = {
    "device": "sda",
    "name": "vm.max_map_count",
    "value": "262144",
    "resource": "RLIMIT_NPROC",
    "what": "2",
}
_SERVICE = "/system.slice/web.service"


def remedies_page(remedies: Iterable[Remedy], actions: Mapping[str, Registered]) -> Iterator[str]:
    """The lines of the page: a table of what there is, and one of the commands."""
    remedies = list(remedies)
    yield from ("# Remedies", "")
    yield (
        "What a finding may propose. Each remedy is declared in `src/kernelsight/diagnosis/remedies.py`, with the "
        "kinds of target that it is for. It is carried out by the [action](actions.md) of the agent of the same name, "
        "if that acts on such a target; the report then says `kernelsight agent do NAME TARGET`. Otherwise it is for a "
        "person, and the report says the command."
    )
    yield from ("", "| remedy | does | for a | carried out by the agent for a | parameters |", "|---|---|---|---|---|")
    for remedy in remedies:
        parameters = [
            *(f"`{name}`" for name in remedy.needs),
            *(f"`{name}` (may be left out)" for name in remedy.takes),
        ]
        action = actions.get(remedy.name)
        by_agent = [kind for kind in remedy.commands if action is not None and kind in action.targets]
        yield _row(
            f"`{remedy.name}`",
            remedy.does,
            ", ".join(remedy.commands),
            ", ".join(by_agent) or "nobody: a person",
            ", ".join(parameters),
        )
    yield from ("", "## Commands", "")
    yield (
        "The exact command for an example of each kind of target: process 9622 of the program crunch, and the control "
        "group `/batch`. A process of a service of systemd is limited with its service (`web.service` here). The "
        "hierarchy of control groups is the one of the machine on which the report is shown. A name that cannot be "
        "typed safely gives no command."
    )
    yield from ("", "| remedy | for | command |", "|---|---|---|")
    for remedy in remedies:
        for kind in remedy.commands:
            for where, command in _examples(remedy, kind):
                yield _row(f"`{remedy.name}`", where, f"`{command}`")


def _examples(remedy: Remedy, kind: EntityKind) -> Iterator[tuple[str, str]]:
    """Commands for an example of a kind of target, and for which; each once."""
    given = {name: _GIVEN[name] for name in (*remedy.needs, *remedy.takes)}
    proposal = remedy.on(_TARGETS[kind], "", **given)
    places = [("", proposal, UNIFIED), (", version 1", proposal, SPLIT)]
    if kind == "process" and remedy.controller:
        places = [
            (" of a service", msgspec.structs.replace(proposal, cgroup=_SERVICE), UNIFIED),
            (" of a group", msgspec.structs.replace(proposal, cgroup="/batch"), UNIFIED),
            (" of a group, version 1", msgspec.structs.replace(proposal, cgroup="/batch"), SPLIT),
            (" of no group", proposal, UNIFIED),
        ]
    told: set[str] = set()
    for where, placed, hierarchies in places:
        try:
            command = remedy.commands[kind](Shell(placed, hierarchies))
        except NotTypedError as error:
            raise TypeError(f"{remedy.name} has no command for a {kind}{where}") from error
        if command not in told:
            told.add(command)
            yield f"{kind}{where}", command


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
