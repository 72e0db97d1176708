"""Packages that were installed, upgraded or removed."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.change import NS_PER_S, Period, Subject, cited, days_before
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.diagnosis.touching import Places, Touch, closest, touched
from kernelsight.events.package_change import PackageChange
from kernelsight.linux.services import service_of

_COLLECTORS = ("package_change",)


def _changes(period: Period) -> Iterator[Change]:
    seen: set[tuple[object, ...]] = set()
    history = period.history(PackageChange)
    for row in history:
        at_ns = row.happened_ns if row.happened_ns is not None else row.timestamp
        # Each run of the collector tells the last day again.
        key = row.package_manager, row.package, row.package_action, row.version, at_ns
        if key in seen or not period.when.start_ns - NS_PER_S < at_ns <= period.when.end_ns:
            continue
        seen.add(key)
        package = str(row.package or f"a package of {row.package_manager}")
        yield Change(
            subject="package_change",
            item=package,
            claim=_claim(package, row),
            at_ns=at_ns,
            after_ns=at_ns,
            evidence=cited(row),
            about=(
                *(Entity("program", path, path) for path in (row.programs or "").split()),
                *(Entity("cgroup", unit, unit) for unit in (row.units or "").split()),
            ),
            other_days=days_before(period, (each.happened_ns or 0 for each in history if each.package == row.package)),
        )


def _claim(package: str, row: PackageChange) -> str:
    by = row.package_manager
    if row.package_action == "upgraded":
        was = f" from {row.previous_version}" if row.previous_version else ""
        return f"{by} changed {package}{was} to {row.version}"  # logs do not always tell a step back from one forward
    version = row.version or row.previous_version
    return f"{by} {row.package_action} {package}{f' {version}' if version else ''}"


def _touches(change: Change, its: Places) -> Touch | None:
    """A package touches the processes that run its programs, or belong to its units."""
    units = {entity.name for entity in change.about if entity.kind == "cgroup"}
    ways = [
        Touch(max(member.strength - 1, 1), f"{member.entity.name} belongs to its unit {service.unit}")
        for member in its.members
        if member.group and (service := service_of(member.group)) is not None and service.unit in units
    ]
    way = touched(change, its)
    return closest([*ways, *([way] if way is not None else [])])


SUBJECT = Subject(
    meaning="packages that were installed, upgraded or removed",
    collectors=_COLLECTORS,
    read=_changes,
    touches=_touches,
)
