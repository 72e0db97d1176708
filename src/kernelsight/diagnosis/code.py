"""What findings say of code: the function that a culprit computes in, the place where a lock is wanted and held.

Names are looked for within a time that is bounded, for all findings together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from kernelsight.diagnosis.functions import computed, is_about_cpu_time
from kernelsight.diagnosis.lock_sites import is_about_a_lock, lock_sites
from kernelsight.diagnosis.model import Finding
from kernelsight.diagnosis.window import Window

if TYPE_CHECKING:  # with it comes numpy, and a healthy machine has no findings
    from kernelsight.profiles.symbols import Symbols

PATIENCE_S = 1.0
"""A diagnosis of ten minutes takes about as long."""


def with_code(window: Window, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, each with the claims of code that rows show."""
    findings = tuple(findings)
    if not any(is_about_cpu_time(finding) or is_about_a_lock(finding) for finding in findings):
        return findings
    from kernelsight.profiles.symbols import Symbols  # noqa: PLC0415 - see above

    symbols = Symbols(PATIENCE_S, seen_ns=window.when.end_ns)
    try:
        return tuple(_with_code(window, finding, symbols) for finding in findings)
    finally:
        symbols.close()


def _with_code(window: Window, finding: Finding, symbols: Symbols) -> Finding:
    sites, function = lock_sites(window, finding, symbols), computed(window, finding, symbols)
    more = (*sites, function) if function is not None else sites
    return msgspec.structs.replace(finding, path=(*finding.path, *more)) if more else finding
