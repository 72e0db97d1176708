"""A look that costs more than what is always on, and that a diagnosis asks for where it cannot tell without.

One module a probe in :mod:`kernelsight.diagnosis.probes`, which declares it as ``PROBE``. The list is closed: a
diagnosis runs one of them for some seconds beside the usual collectors, and then judges again with the new rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import NamedTuple

from kernelsight.diagnosis.fault import Part
from kernelsight.diagnosis.model import Diagnosis, Fault, Finding
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.registry import Plugins

CLOSE = Threshold(
    0.2, "confidence", because="judged: two answers that differ by less are often the other way round a minute later"
)


class Price(NamedTuple):
    """What a probe costs while it runs, beside what is always on."""

    cpu_percent: float
    """Of one CPU."""
    measured: str
    """The command that printed it, and upon what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One closer look."""

    asks: str
    """What it finds out, such as "which functions compute"."""
    part: Part
    """The part of the machine whose faults it tells more of: explanations that differ in it are told apart."""
    shows: str
    """The table of the rows that it adds, or adds more of."""
    likened_to: str
    """A collector that runs by default and needs the same privileges: where that cannot run, this cannot either."""
    seconds: int
    price: Price
    missing: str
    """What a finding lacks without it: "the function that CULPRIT computes in" with CULPRIT for its name."""
    culprits: frozenset[str] = frozenset({"process"})
    """The kinds of culprit of which it tells something."""
    collectors: tuple[str, ...] = ()
    """Those that run besides the ones that run by default."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of collectors (`kernelsight collect -o`)."""
    name: str = ""
    """That of its module."""


class Wanted(NamedTuple):
    """A probe that would tell more of a diagnosis, and why."""

    probe: Probe
    because: str


def _declared(module: ModuleType) -> Probe:
    name = module.__name__.rpartition(".")[2]
    declared = getattr(module, "PROBE", None)
    if not isinstance(declared, Probe):
        raise TypeError(f"diagnosis/probes/{name}.py: PROBE is to be a probe")
    return replace(declared, name=name)


_PROBES = Plugins("kernelsight.diagnosis.probes", _declared)


def probes() -> Mapping[str, Probe]:
    """All probes by name.

    Raises:
        TypeError: a module declares none.
    """
    return _PROBES.all()


def wanted(diagnosis: Diagnosis) -> list[Wanted]:
    """The probes that would tell more of a diagnosis, what matters most first, then the cheapest.

    Two explanations that are close matter more than what a sure one does not say.
    """
    found = [
        (0 if is_close else 1, each) for finding in diagnosis.findings for is_close, each in _of(diagnosis, finding)
    ]
    found.sort(key=lambda pair: (pair[0], pair[1].probe.price.cpu_percent * pair[1].probe.seconds, pair[1].probe.name))
    return list({each.probe.name: each for _, each in reversed(found)}.values())[::-1]


def _of(diagnosis: Diagnosis, finding: Finding) -> Iterator[tuple[bool, Wanted]]:
    rivals = list(_rivals(diagnosis, finding))
    for probe in probes().values():
        if shown(finding, probe):
            continue
        rival = next((fault for fault in rivals if _separates(probe, finding.fault, fault)), None)
        if rival is not None:
            both = f"{_words(finding.fault)} and {_words(rival)}"
            yield True, Wanted(probe, f"{both} are nearly as likely")
        elif probe.part in fault_classes()[finding.fault].parts and finding.culprit.kind in probe.culprits:
            yield False, Wanted(probe, f"{probe.missing.replace('CULPRIT', finding.culprit.name)} is not known")


def shown(finding: Finding, probe: Probe) -> bool:
    """Whether the path of a finding cites what a probe adds."""
    return any(evidence.table == probe.shows for step in finding.path for evidence in step.evidence)


def _rivals(diagnosis: Diagnosis, finding: Finding) -> Iterator[Fault]:
    """Other explanations that are nearly as likely."""
    yield from (other.fault for other in finding.alternatives)
    for other in diagnosis.ruled_out:
        if not other.effect_of and other.fault != finding.fault and other.confidence >= finding.confidence - CLOSE:
            yield other.fault


def _separates(probe: Probe, fault: Fault, other: Fault) -> bool:
    """Whether a probe looks at a part of the machine that only one of two classes of faults is of."""
    classes = fault_classes()
    return (probe.part in classes[fault].parts) != (probe.part in classes[other].parts)


def _words(fault: Fault) -> str:
    return fault.replace("_", " ")


def told(before: Diagnosis, after: Diagnosis, tables: Sequence[str]) -> tuple[str, ...]:
    """What an answer says that the one before a probe did not.

    Args:
        before: the answer without the probe.
        after: the answer with it.
        tables: whose rows the probe added.
    """
    first, now = ((each.findings[0] if each.findings else None) for each in (before, after))
    said: list[str] = []
    if now is not None and (first is None or (first.fault, first.culprit) != (now.fault, now.culprit)):
        was = f"{_words(first.fault)} by {first.culprit.name}" if first is not None else "nothing"
        said.append(f"over the whole time the answer is {_words(now.fault)} by {now.culprit.name}; it was {was}")
    elif now is None and first is not None:
        said.append(f"over the whole time {_words(first.fault)} by {first.culprit.name} is not found")
    known = {step.claim for finding in before.findings for step in finding.path}
    said += [
        step.claim
        for finding in after.findings
        for step in finding.path
        if step.claim not in known and any(evidence.table in tables for evidence in step.evidence)
    ]
    return tuple(said)
