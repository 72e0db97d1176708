"""Networks of a scenario: namespaces, the wires between them, rules that drop and queues that are too small."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.faultbench.stage import Stage

OURS = None
"""The namespace that the bench itself runs in."""
_ALL = 1000


@dataclass(frozen=True, slots=True)
class End:
    """One end of a wire."""

    interface: str
    address: str
    namespace: str | None
    """Name of the namespace that it is in; None: :data:`OURS`."""

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command beside this end; see `through` of :meth:`Stage.start`."""
        return inside(self.namespace)


def inside(namespace: str | None) -> tuple[str, ...]:
    """What runs a command in a namespace."""
    return ("nsenter", f"--net=/run/netns/{namespace}") if namespace else ()


def namespace(stage: Stage) -> str:
    """A network namespace; removed at the end with all that is in it."""
    name = f"{stage.name()}-{stage.chance.randrange(1 << 20):x}"
    stage.run("ip", "netns", "add", name, undo=("ip", "netns", "del", name))
    stage.run("ip", "-n", name, "link", "set", "lo", "up")
    return name


def wire(stage: Stage, left: str | None, right: str | None) -> tuple[End, End]:
    """Two namespaces, connected by a pair of interfaces with an address each in a network of their own."""
    net = f"10.{stage.chance.randint(64, 250)}.{stage.chance.randint(0, 250)}"
    first, other = (End(f"{stage.name()[:8]}{side}", f"{net}.{side}", where) for side, where in ((1, left), (2, right)))
    command = ("ip", "link", "add", first.interface, "type", "veth", "peer", "name", other.interface)
    # Either end takes the other with it; that of a namespace of its own goes with the namespace.
    undo = next((("ip", "link", "del", end.interface) for end in (first, other) if end.namespace is OURS), None)
    stage.run(*command, undo=undo)
    for end in (first, other):
        if end.namespace is not OURS:
            stage.run("ip", "link", "set", end.interface, "netns", end.namespace)
        stage.run(*end.inside, "ip", "address", "add", f"{end.address}/24", "dev", end.interface)
        stage.run(*end.inside, "ip", "link", "set", end.interface, "up")
    return first, other


def drop_some(stage: Stage, where: str | None, hook: str, match: str, per_mille: int) -> str:
    """A rule that drops a share of the packets that match, at a hook (`input`, `output`, `forward`); its table."""
    table = stage.name()
    nft = (*inside(where), "nft")
    stage.run(*nft, "add", "table", "inet", table, undo=(*nft, "delete", "table", "inet", table))
    stage.run(*nft, f"add chain inet {table} {hook} {{ type filter hook {hook} priority 0; }}")
    some = "" if per_mille >= _ALL else f"numgen random mod {_ALL} < {per_mille}"
    stage.run(*nft, f"add rule inet {table} {hook} {match} {some} drop")
    return table


def shape(stage: Stage, end: End, *discipline: object) -> None:
    """Put a queue of another discipline in front of an interface; it goes with the interface."""
    stage.run(*end.inside, "tc", "qdisc", "replace", "dev", end.interface, "root", *discipline)
