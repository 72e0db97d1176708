"""Which collectors would have recorded something, and how they can be made to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelsight.diagnosis.scene import Scene


def yielding(names: Iterable[str]) -> tuple[str, ...]:
    """The collectors that yield kinds of event, in the order of the kinds, each once."""
    from kernelsight.collectors.base import registered  # noqa: PLC0415 - loads all of them, and is seldom needed
    from kernelsight.events.declare import kind_of  # noqa: PLC0415

    by_kind: dict[str, str] = {}
    for name, sources in registered().items():
        for source in sources:
            for struct in source.emits:
                by_kind.setdefault(kind_of(struct).name, name)
    return tuple(dict.fromkeys(by_kind[kind] for kind in names if kind in by_kind))


def how_to_get(collectors: Sequence[str], scene: Scene) -> str:
    """What to do so that collectors record, in words; with the reason of each that says why it does not run."""
    reasons = {row["name"]: row["reason"] for row in scene.rows("collector") if row["status"] != "running"}
    said = [f"{name} does not run ({reasons[name]})" for name in collectors if reasons.get(name)]
    if said:
        return "; ".join(said)
    return f"there are no rows of the collectors {', '.join(collectors)}; `kernelsight start` runs them"
