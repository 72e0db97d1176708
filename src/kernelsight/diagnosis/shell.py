"""Commands of the usual tools for something to act on: what a person types, with every name safe for a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from kernelsight.diagnosis.model import Proposal
from kernelsight.linux.services import service_of
from kernelsight.printable import printable

Controller = Literal["cpu", "memory", "io", "pids"]
"""What limits a control group, by its name in version 2; version 1 calls `io` `blkio`."""

_V1_NAMES: Mapping[Controller, str] = {"cpu": "cpu", "memory": "memory", "io": "blkio", "pids": "pids"}
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(?:service|scope|slice)")
"""systemd.unit(5), "Description": the characters of a unit's name."""
_USERS_OWN = re.compile(r"user@\d+\.service")
"""What is below is managed by the systemd of that user, which the one of the machine knows nothing of."""

_PARAMETERS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "device": r"[A-Za-z0-9_.:!-]+",
        "name": r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+",
        "value": r"[0-9]+( [0-9]+)*",
        "resource": r"RLIMIT_[A-Z]+",
        "what": r"[123]",
    }.items()
}
"""What parameters look like. A model proposes some: what a person pastes sets numbers, and names no program."""


class Hierarchy(NamedTuple):
    """Where the groups of a controller are."""

    point: str
    """Where it is mounted."""
    version: int


Hierarchies = Mapping[Controller, Hierarchy]

UNIFIED: Hierarchies = {name: Hierarchy("/sys/fs/cgroup", 2) for name in _V1_NAMES}
"""As most machines have it (cgroups(7)); used where nothing else is known."""
SPLIT: Hierarchies = {name: Hierarchy(f"/sys/fs/cgroup/{v1_name}", 1) for name, v1_name in _V1_NAMES.items()}
"""Version 1 at its usual places."""


class NotTypedError(Exception):
    """There is no command: a name cannot be typed safely, or it is not known what is to be typed."""


@dataclass(frozen=True, slots=True)
class Shell:
    """A proposal as the parts of a command."""

    proposal: Proposal
    hierarchies: Hierarchies = field(default_factory=lambda: UNIFIED)

    @property
    def id(self) -> str:
        """The id of the target, quoted."""
        return word(self.proposal.target.id)

    @property
    def pid(self) -> str:
        """The id of a process.

        Raises:
            NotTypedError: the target's id is no number of a process.
        """
        if not re.fullmatch(r"[1-9][0-9]*", self.proposal.target.id, re.ASCII):
            raise NotTypedError
        return self.proposal.target.id

    @property
    def pattern(self) -> str:
        """What pgrep(1) finds the processes of a program by, quoted."""
        return word(re.escape(self.proposal.target.name))

    @property
    def group(self) -> str:
        """Path of the control group that the target is or is in; empty where that is not known, or is the root."""
        target = self.proposal.target
        path = target.id if target.kind == "cgroup" else self.proposal.cgroup
        return path if path.startswith("/") and path != "/" and ".." not in path.split("/") else ""

    @property
    def unit(self) -> str:
        """The systemd unit that the target is, or the service that it is in, quoted; empty where there is none."""
        if self.proposal.target.kind != "cgroup":
            return self.service
        parent, _, name = self.group.rpartition("/")
        name = name.removeprefix("_")  # of a name that could be a file of the kernel (kernelsight.linux.services)
        return word(name) if _UNIT.fullmatch(name) and _is_of_the_machine(f"{parent}/") else ""

    @property
    def service(self) -> str:
        """The systemd service that the target is or is in, quoted; empty where there is none."""
        service = service_of(self.group)
        if service is None or service.container or not service.unit or not _UNIT.fullmatch(service.unit):
            return ""
        return word(service.unit) if service.unit.endswith(".service") and _is_of_the_machine(self.group) else ""

    @property
    def container(self) -> tuple[str, str]:
        """Who runs the container that the target is in, and its id; both empty where it is in none that is known."""
        service = service_of(self.group)
        by, _, name = (service.container or "").partition(" ") if service else ("", "", "")
        return by, word(name) if name else ""

    def version(self, controller: Controller) -> int:
        """Of the hierarchy that has a controller."""
        return self.hierarchies[controller].version

    def file(self, controller: Controller, v2_name: str, v1_name: str) -> str:
        """The file of a limit of the target's group, quoted.

        Raises:
            NotTypedError: the group is not known.
        """
        if not self.group:
            raise NotTypedError
        point, version = self.hierarchies[controller]
        return word(f"{point}{self.group}/{v2_name if version == 2 else v1_name}")

    def parameter(self, name: str) -> str:
        """A parameter of the proposal, not quoted; empty where it has none of that name.

        Raises:
            NotTypedError: it is not what such a parameter looks like.
        """
        value = next((given.value for given in self.proposal.parameters if given.name == name), "")
        if value and not _PARAMETERS[name].fullmatch(value):
            raise NotTypedError
        return value

    def own_group(self, controller: Controller, writes: Mapping[str, str], pids: str) -> str:
        """A new group, limited by `writes` (file → value), with processes put into it.

        Raises:
            NotTypedError: no group can have the name of the target.
        """
        if "/" in self.proposal.target.id:
            raise NotTypedError
        folder = word(f"{self.hierarchies[controller].point}/limited-{self.proposal.target.id}")
        limits = " && ".join(f'echo "{value}" > {folder}/{name}' for name, value in writes.items())
        return f"mkdir -p {folder} && {limits} && for pid in {pids}; do echo $pid > {folder}/cgroup.procs; done"


def _is_of_the_machine(path: str) -> bool:
    """Whether the systemd of the machine manages what is in a group, and not that of a user or of a container."""
    service = service_of(path)
    return not (service and service.container) and not any(map(_USERS_OWN.fullmatch, path.split("/")[:-1]))


def word(text: str) -> str:
    """A name as one word of a shell.

    Raises:
        NotTypedError: it has characters that cannot be typed, or would be taken for an option.
    """
    if printable(text) != text or text.startswith("-"):
        raise NotTypedError
    return shlex.quote(text)
