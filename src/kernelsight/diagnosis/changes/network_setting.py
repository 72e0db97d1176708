"""Addresses, routes and MTUs that were changed."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.change import Period, Subject, cited, days_before, differences
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.diagnosis.touching import Places, Touch, closest, touched
from kernelsight.events.network_setting import NetworkSetting

_COLLECTORS = ("network_setting",)


def _changes(period: Period) -> Iterator[Change]:
    values = (NetworkSetting.value,)
    for row, before, after_ns in differences(period, NetworkSetting, values, NetworkSetting.unchanged_ns, _COLLECTORS):
        interface = str(row.interface_name or "")
        was = row.previous_value if row.previous_value is not None or before is None else before.value
        item = f"{row.sort} {row.target} of {interface}" if row.sort != "mtu" else f"MTU of {interface}"
        stamps = (
            each.timestamp
            for each in period.history(NetworkSetting)
            if (each.sort, each.interface_name, each.target) == (row.sort, row.interface_name, row.target)
            and each.unchanged_ns is not None
        )
        yield Change(
            subject="network_setting",
            item=item,
            claim=_claim(item, row.value, was),
            at_ns=row.timestamp,
            after_ns=after_ns,
            evidence=cited(row),
            about=(Entity("interface", interface, interface),),
            other_days=days_before(period, stamps),
        )


def _claim(item: str, value: str | None, was: str | None) -> str:
    if value is None:
        return f"{item} is gone; it was {was}"
    return f"{item} is new: {value}" if was is None else f"{item} is {value} instead of {was}"


def _touches(change: Change, its: Places) -> Touch | None:
    """A change of the network touches findings of its interface, and weakly all that are of networks."""
    ways = [way for way in (touched(change, its),) if way is not None]
    if "network" in its.fault.parts or its.fault.felt_as == "network":
        ways.append(Touch(1, f"{its.fault.name.replace('_', ' ')} is a fault of networks"))
    return closest(ways)


SUBJECT = Subject(
    meaning="addresses, routes and MTUs of interfaces",
    collectors=_COLLECTORS,
    read=_changes,
    touches=_touches,
)
