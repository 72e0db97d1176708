r"""What runs in a control group, by its path: a unit of systemd, a container, a pod.

The path alone is looked at. Names are those that the programs give which make the groups:

- systemd: each unit has a group of its name, below those of its slices (systemd.slice(5)). A name that would be taken
  for a file of the kernel gets a ``_`` in front (src/basic/cgroup-util.c, cg_escape), and characters that no unit may
  have stand as ``\xNN`` (systemd-escape(1)).
- Docker: ``docker-ID.scope``, or ``docker/ID`` with its own driver of groups.
- containerd and CRI-O for Kubernetes: ``cri-containerd-ID.scope``, ``crio-ID.scope`` or ``ID``, below a group of the
  pod, ``kubepods…-podUID.slice`` or ``kubepods/…/podUID`` (pkg/kubelet/cm).
- Podman: ``libpod-ID.scope``, or ``libpod-ID``. What watches a container, ``…-conmon-ID``, is not in it.
- LXC: ``lxc.payload.NAME``, ``lxc.payload/NAME`` or ``lxc/NAME``; ``lxc.monitor…`` is what watches it.
- systemd-machined, and what registers with it, such as libvirt: ``machine-NAME.scope``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

SHORT_ID = 12
"""Characters of a container's id that its own tools show."""
_ID = r"(?P<id>[0-9a-f]{64}|[0-9a-f]{32}-\d{10})"
"""32 characters and a number: tasks of Amazon ECS."""
_CONTAINER = re.compile(rf"(?:(?P<by>[a-z][a-z-]*?)-(?:payload-)?)?{_ID}(?:\.scope)?")
_MACHINE = re.compile(r"machine-(?P<name>.+)\.scope")
_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
"""32 characters without hyphens: pods that are described by a file (static pods)."""
_POD = re.compile(rf"(?:kubepods(?:-[a-z]+)?-)?pod(?P<uid>{_UID})(?:\.slice)?")
_PROGRAMS = {"docker": "docker", "cri-containerd": "containerd", "crio": "cri-o", "libpod": "podman"}
"""Who makes groups with these prefixes; others are named as they name themselves."""
_UNITS = (".service", ".scope")
_ESCAPED = re.compile(r"(?:\\x[0-9a-f]{2})+")


class Service(NamedTuple):
    """What runs in a control group; at least one of these is known."""

    unit: str | None = None
    """Unit of systemd, as systemctl(1) takes it; in a container that has a systemd, the one in there."""
    container: str | None = None
    """Who runs the container, and its short id or its name: `docker 3f1c0a9b2d4e`, `lxc web`."""
    pod: str | None = None
    """UID of the pod."""

    @property
    def text(self) -> str:
        """As a person reads it."""
        parts = (
            readable(self.unit) if self.unit else "",
            f"container {self.container}" if self.container else "",
            f"pod {self.pod}" if self.pod else "",
        )
        return ", ".join(part for part in parts if part)


def service_of(path: str) -> Service | None:
    """What runs in a control group by its path; None where the path does not tell."""
    parts = [part for part in path.split("/") if part]
    container, below = _innermost_container(parts)
    unit = next((unit for part in reversed(parts[below:]) if (unit := _unit(part))), None)
    pod = next((match["uid"].replace("_", "-") for part in reversed(parts) if (match := _POD.fullmatch(part))), None)
    return Service(unit, container, pod) if unit or container or pod else None


def readable(unit: str) -> str:
    """The name of a unit without escapes; those that stand for what cannot be printed stay."""
    return _ESCAPED.sub(_unescaped, unit)


def _innermost_container(parts: Sequence[str]) -> tuple[str | None, int]:
    """The container that is deepest in a path, and where the groups within it begin."""
    for place in range(len(parts) - 1, -1, -1):
        if container := _container(parts[place - 1] if place else "", parts[place]):
            return container, place + 1
    return None, 0


def _container(parent: str, part: str) -> str | None:
    if match := _CONTAINER.fullmatch(part):
        prefix = match["by"] or ("docker" if parent == "docker" else "")
        if prefix.endswith("conmon"):
            return None
        return f"{_PROGRAMS.get(prefix, prefix)} {match['id'][:SHORT_ID]}".strip()
    if match := _MACHINE.fullmatch(part):
        return f"machine {readable(match['name'])}"
    if part.startswith("lxc.payload."):
        return f"lxc {part.removeprefix('lxc.payload.')}"
    return f"lxc {part}" if parent in {"lxc", "lxc.payload"} else None


def _unit(part: str) -> str | None:
    """The unit whose group this is; `init.scope` is that of whatever manager stands above it."""
    name = part.removeprefix("_")
    return name if name.endswith(_UNITS) and name not in {*_UNITS, "init.scope"} else None


def _unescaped(escaped: re.Match[str]) -> str:
    try:
        text = bytes.fromhex(escaped[0].replace("\\x", "")).decode()
    except UnicodeDecodeError:
        return escaped[0]
    return text if text.isprintable() else escaped[0]
