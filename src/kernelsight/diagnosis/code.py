"""What findings say of code: the function that a culprit computes in, the place where a lock is wanted and held.

Names are looked for within a time that is bounded, for all findings together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from kernelsight.diagnosis.allocating import allocated, is_about_memory
from kernelsight.diagnosis.functions import computed, is_about_cpu_time
from kernelsight.diagnosis.lock_sites import is_about_a_lock, lock_sites
from kernelsight.diagnosis.model import Finding
from kernelsight.diagnosis.window import Window

if TYPE_CHECKING:  # with it comes numpy, and a healthy machine has no findings
    from kernelsight.profiles.symbols import Symbols

_ABOUT_CODE = (is_about_cpu_time, is_about_a_lock, is_about_memory)
PATIENCE_S = 1.0
"""A diagnosis of ten minutes takes about as long."""


def with_code(window: Window, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, each with the claims of code that rows show."""
    findings = tuple(findings)
    if not any(about(finding) for finding in findings for about in _ABOUT_CODE):
        return findings
    from kernelsight.profiles.symbols import Symbols  # noqa: PLC0415 - see above

    symbols = Symbols(PATIENCE_S, seen_ns=window.when.end_ns)
    try:
        return tuple(_with_code(window, finding, symbols) for finding in findings)
    finally:
        symbols.close()


def _with_code(window: Window, finding: Finding, symbols: Symbols) -> Finding:
    functions = computed(window, finding, symbols), allocated(window, finding, symbols)
    more = (*lock_sites(window, finding, symbols), *(step for step in functions if step is not None))
    return msgspec.structs.replace(finding, path=(*finding.path, *more)) if more else finding
