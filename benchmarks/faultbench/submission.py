"""What a system answers about the recorded cases, as one JSON document that is read strictly.

::

    {
      "format": "faultbench-answers/1",
      "system": "my system 2.3",
      "cases": {
        "leak_and_hogs": {
          "before": [],
          "end": [
            {"fault": "cpu_saturation", "culprit": {"kind": "process", "id": "26625", "name": "nixtenten"}},
            {"fault": "fd_leak", "culprit": {"kind": "process", "id": "26624", "name": "porka"}}
          ]
        }
      }
    }
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec

from kernelsight.diagnosis.registry import fault_classes

LARGEST_BYTES = 64 * 1024 * 1024
_MOST_FINDINGS = 20
_LONGEST_NAME = 4096
_SHOWN = 5

Name = Annotated[str, msgspec.Meta(max_length=_LONGEST_NAME)]


class SubmissionError(Exception):
    """A document that cannot be scored: what is wrong, where, and what to do."""


class Blamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is blamed."""

    kind: Name
    """What it is: `process`, `cgroup`, `device`, `interface`, `mount`, or any other word; it is not scored."""
    id: Name
    """Its pid, path or address."""
    name: Name = ""
    """What it is called: the kernel's name of the process, the name of the device."""


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault that a system has found."""

    fault: str
    """A class of faults; `python -m benchmarks.faultbench classes` lists them."""
    culprit: Blamed
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """How sure the system is; not scored."""


Findings = Annotated[list[Found], msgspec.Meta(max_length=_MOST_FINDINGS)]


class During(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is found from what was said until some seconds after the onset."""

    after_s: Annotated[int, msgspec.Meta(ge=1, le=60)]
    findings: Findings


class CaseAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a system finds in one case. The surest finding stands first."""

    before: Findings
    """From what was said until one second before the onset."""
    end: Findings
    """From what was said until one second before the end."""
    during: list[During] = []
    """At seconds in between, where the time to the first right answer is to be told."""


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All answers of one system."""

    format: Literal["faultbench-answers/1"]
    system: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    cases: dict[str, CaseAnswer]


def read_submission(document: bytes, cases: Collection[str]) -> Submission:
    """Read a document, and refuse what cannot be meant.

    Args:
        document: UTF-8 JSON.
        cases: names of the cases that there are.

    Raises:
        SubmissionError: it is not one; the message names the first place that is wrong.
    """
    if len(document) > LARGEST_BYTES:
        raise SubmissionError(f"the document has {len(document):,} bytes; at most {LARGEST_BYTES:,} are read")
    try:
        submission = msgspec.json.decode(document, type=Submission)
    except UnicodeDecodeError as error:
        raise SubmissionError(f"the document is not UTF-8: {error}") from error
    except msgspec.DecodeError as error:  # a wrong type or field is one, too
        raise SubmissionError(f"{error}; `python -m benchmarks.faultbench schema` prints the JSON Schema") from error
    except RecursionError as error:
        raise SubmissionError("the document is nested too deeply") from error
    if unknown := sorted(submission.cases.keys() - set(cases)):
        raise SubmissionError(
            f"no case is called {_few(unknown)}; `python -m benchmarks.faultbench list --recorded` lists all"
        )
    for case, answer in submission.cases.items():
        _check(f"cases.{case}", answer)
    return submission


def _check(case: str, answer: CaseAnswer) -> None:
    for place, findings in _places(answer):
        for index, finding in enumerate(findings):
            if finding.fault not in fault_classes():
                raise SubmissionError(
                    f"{case}.{place}[{index}].fault: there is no class {finding.fault[:80]!r}; "
                    "`python -m benchmarks.faultbench classes` lists all"
                )
    seconds = [during.after_s for during in answer.during]
    if len(seconds) != len(set(seconds)):
        raise SubmissionError(f"{case}.during: a second is answered twice")


def _places(answer: CaseAnswer) -> list[tuple[str, list[Found]]]:
    during = [(f"during[{index}].findings", moment.findings) for index, moment in enumerate(answer.during)]
    return [("before", answer.before), ("end", answer.end), *during]


def _few(names: list[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
