"""File systems that were mounted, unmounted or mounted otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.change import Period, Subject, cited, days_before, differences
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.events.mount import Mount

_COLLECTORS = ("mount",)


def _changes(period: Period) -> Iterator[Change]:
    values = (Mount.device, Mount.device_number, Mount.mount_options)
    for row, before, after_ns in differences(period, Mount, values, Mount.unchanged_ns, _COLLECTORS):
        point = str(row.mount_point)
        device = row.device or row.previous_device or (before.device if before else None) or ""
        yield Change(
            subject="mount",
            item=point,
            claim=_claim(point, row, before),
            at_ns=row.timestamp,
            after_ns=after_ns,
            evidence=cited(row),
            about=(
                Entity("mount", point, point),
                *((Entity("device", device, device.removeprefix("/dev/")),) if device.startswith("/dev/") else ()),
            ),
            other_days=days_before(period, _changed_at(period, point)),
        )


def _claim(point: str, row: Mount, before: Mount | None) -> str:
    was = (row.previous_device or (before.device if before else None), row.previous_options)
    if row.device is None:
        return f"{was[0]} is not mounted at {point} any more"
    if was[0] is None or was[0] != row.device:
        instead = f" instead of {was[0]}" if was[0] else ""
        return f"{row.device} ({row.fs_type}) is mounted at {point}{instead}"
    return f"{point} is mounted {_otherwise(row.mount_options, was[1] or (before.mount_options if before else None))}"


def _otherwise(now: str | None, before: str | None) -> str:
    """What differs between two lists of options."""
    new, old = set((now or "").split(",")), set((before or "").split(","))
    if "ro" in new - old:
        return "read-only; before it could be written to"
    if "ro" in old - new:
        return "so that it can be written to; before it was read-only"
    added, gone = ", ".join(sorted(new - old)), ", ".join(sorted(old - new))
    return " ".join(part for part in (f"with {added}" if added else "", f"without {gone}" if gone else "") if part)


def _changed_at(period: Period, point: str) -> list[int]:
    return [row.timestamp for row in period.history(Mount) if row.mount_point == point and row.unchanged_ns is not None]


SUBJECT = Subject(
    meaning="what is mounted where, from which device, and with which options", collectors=_COLLECTORS, read=_changes
)
