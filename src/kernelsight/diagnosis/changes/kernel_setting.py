"""Settings of the kernel that were changed."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from kernelsight.diagnosis.change import Period, Subject, cited, days_before, differences
from kernelsight.diagnosis.fault import FaultClass
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.diagnosis.touching import Places, Touch, closest, touched
from kernelsight.events.kernel_setting import KernelSetting
from kernelsight.linux.settings import device_of

_COLLECTORS = ("kernel_setting",)


def _changes(period: Period) -> Iterator[Change]:
    for row, before, after_ns in differences(
        period, KernelSetting, (KernelSetting.value,), KernelSetting.unchanged_ns, _COLLECTORS
    ):
        setting = str(row.setting_name)
        was = row.previous_value if before is None or row.previous_value is not None else before.value
        device = device_of(setting)
        yield Change(
            subject="kernel_setting",
            item=setting,
            claim=_claim(setting, row.value, was),
            at_ns=row.timestamp,
            after_ns=after_ns,
            evidence=cited(row),
            about=(Entity("limit", setting, setting), *((Entity("device", device, device),) if device else ())),
            other_days=days_before(period, _changed_at(period, setting)),
        )


def _claim(setting: str, value: str | None, was: str | None) -> str:
    if value is None:
        return f"{setting} is gone; it was {was or 'empty'}"
    return f"{setting} is {value or 'empty'} instead of {was}" if was is not None else f"{setting} is new: {value}"


def _changed_at(period: Period, setting: str) -> list[int]:
    return [
        row.timestamp
        for row in period.history(KernelSetting)
        if row.setting_name == setting and row.unchanged_ns is not None
    ]


def _touches(change: Change, its: Places) -> Touch | None:
    """A setting touches a finding whose mechanism it governs; that of a disk, findings of that disk."""
    ways = [way for way in (touched(change, its),) if way is not None]
    is_of_a_device = any(entity.kind == "device" for entity in change.about)
    if not is_of_a_device and governs(change.item, its.fault):
        ways.append(Touch(2, f"it governs {its.fault.name.replace('_', ' ')}"))
    return closest(ways)


def governs(setting: str, fault: FaultClass) -> bool:
    """Whether a setting is one of those that a class of faults declares to be governed by."""
    return any(fnmatchcase(setting, pattern) for pattern in fault.governed_by)


SUBJECT = Subject(
    meaning="a setting of the kernel: a sysctl, huge pages, the queue of a disk",
    collectors=_COLLECTORS,
    read=_changes,
    touches=_touches,
)
