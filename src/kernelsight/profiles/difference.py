"""How two profiles differ, by function."""

from __future__ import annotations

from typing import NamedTuple

from kernelsight.profiles.profile import Profile
from kernelsight.profiles.symbols import Name

_SURE = 2.0
"""Standard errors of a difference of two shares that are more than chance."""


class Change(NamedTuple):
    """One function in two windows."""

    name: Name
    before: float
    """Share of the samples, from 0 to 1, in which it computed itself."""
    after: float
    is_sure: bool
    """Whether the difference is more than samples differ by chance."""


def differences(before: Profile, after: Profile) -> list[Change]:
    """The functions of both, greatest change first; shares of what each window computed.

    A difference of shares p and q of m and n samples has the standard error sqrt(p(1-p)/m + q(1-q)/n).
    """
    first, second = _shares(before), _shares(after)
    changes = [
        Change(name, p, q, abs(q - p) > _SURE * _error(p, before.samples, q, after.samples))
        for name in first.keys() | second.keys()
        for p, q in ((first.get(name, 0.0), second.get(name, 0.0)),)
    ]
    return sorted(changes, key=lambda change: (-abs(change.after - change.before), change.name))


def _error(p: float, m: int, q: float, n: int) -> float:
    # At least one sample, of a share that is none or all.
    return float((_variance(p, m) + _variance(q, n)) ** 0.5)


def _variance(share: float, samples: int) -> float:
    if not samples:
        return 1.0
    smoothed = (share * samples + 1) / (samples + 2)
    return smoothed * (1 - smoothed) / samples


def _shares(profile: Profile) -> dict[Name, float]:
    samples = max(profile.samples, 1)
    return {share.name: share.samples / samples for share in profile.functions() if share.samples}
