"""What people call entities and faults: a process with its service, its user and who started it."""

from __future__ import annotations

from kernelsight.diagnosis.identity import UNKNOWN
from kernelsight.diagnosis.model import Diagnosis, Entity, Identity
from kernelsight.linux.services import Service

_INIT = "1"
"""Pid of the first process."""
_DELETED = " (deleted)"
"""What the kernel puts behind the path of a file that has no name any more (proc_pid_exe(5))."""
_LONGEST_PATH = 64


def plain(fault: str) -> str:
    """A class of fault in words."""
    return fault.replace("_", " ")


def named(entity: Entity) -> str:
    """What people call it, with what tells it from others."""
    return entity.name if entity.id == entity.name else f"{entity.name} ({entity.id})"


def introduced(diagnosis: Diagnosis, *entities: Entity) -> str:
    """Entities, each with who it is; processes of one name that are described alike stand together.

    Such as `postgres 4182 (postgresql@15-main.service, uid 114, started by systemd)`; where nothing more is known of a
    process than its name and pid, `postgres (4182)`.
    """
    alike: dict[tuple[str, str], list[Entity]] = {}
    for entity in entities:
        alike.setdefault((entity.name, _described(diagnosis.identity(entity))), []).append(entity)
    return ", ".join(
        f"{name} {', '.join(entity.id for entity in group)} ({described})"
        if described
        else ", ".join(map(named, group))
        for (name, described), group in alike.items()
    )


def _described(identity: Identity | None) -> str:
    if identity is None:
        return ""
    if identity.is_kernel_thread:
        return "kernel thread"
    service = Service(identity.unit or None, identity.container or None, identity.pod or None)
    user = "" if identity.uid is None else "root" if identity.uid == 0 else f"uid {identity.uid}"
    return ", ".join(part for part in (_executable(identity), service.text, user, _origin(identity)) if part)


def _executable(identity: Identity) -> str:
    """The file that it runs, where its name does not tell: of a script that is the interpreter, of a thread anything.

    A file that was removed or replaced is told in any case: the process runs what is not there any more.
    """
    path = identity.executable.removesuffix(_DELETED)
    name, file = identity.process.name, path.rpartition("/")[2]
    if path == identity.executable and (not file or file.startswith(name) or name.startswith(file)):
        return ""
    return _path_end(path) + (_DELETED if path != identity.executable else "")


def _path_end(path: str) -> str:
    """A path; of one that is long, its end."""
    return path if len(path) <= _LONGEST_PATH else f"…{path[1 - _LONGEST_PATH :]}"


def _origin(identity: Identity) -> str:
    """Who started it: its parent, but that the first process is given those whose parents have ended, too."""
    if not identity.parents:
        return ""
    parent = identity.parents[0]
    if parent.id == _INIT:
        of_service = identity.unit.endswith(".service") and not identity.container
        return "" if parent.name == UNKNOWN else f"{'started by' if of_service else 'child of'} {parent.name}"
    return f"started by {'process' if parent.name == UNKNOWN else parent.name} {parent.id}"
