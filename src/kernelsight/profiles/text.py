"""A profile as text: the hottest functions and paths, with their shares."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.printable import printable
from kernelsight.profiles.difference import Change
from kernelsight.profiles.profile import Profile
from kernelsight.quantities import quantity

_SHOWN_OF_PATH = 8
"""Innermost functions of a path."""


def report(profile: Profile, most: int) -> Iterator[str]:
    """The lines.

    Args:
        profile: what was sampled.
        most: functions, and paths, that are shown.
    """
    samples = profile.samples
    if not samples:
        yield "No samples: nothing of this computed in the window, or the collector `stacks` did not run."
        yield from unknown(profile)
        return
    yield f"{samples:,} samples, {quantity(profile.cpu_ns, 'ns')} of CPU time"
    yield ""
    yield "  itself    total  function"
    for share in profile.functions()[:most]:
        yield f"{share.samples / samples:>8.1%} {share.total / samples:>8.1%}  {share.name.text}"
    yield ""
    yield "Hottest paths, outermost function first:"
    for path in profile.paths[:most]:
        names = [name.text for name in path.names]
        left_out = ["..."] if len(names) > _SHOWN_OF_PATH else []
        way = " > ".join([*left_out, *names[-_SHOWN_OF_PATH:]])
        yield f"{path.samples / samples:>8.1%}  {printable(path.comm)}: {way}"
    yield from unknown(profile)


def unknown(profile: Profile) -> Iterator[str]:
    """What is not known, a line each."""
    if profile.unknown:
        yield ""
        yield from (f"Not known: {sentence}." for sentence in profile.unknown)


def compared(before: Profile, after: Profile, changes: list[Change], most: int) -> Iterator[str]:
    """The lines of how two profiles differ."""
    for whose, profile in (("before", before), ("after", after)):
        yield f"{whose}: {profile.samples:,} samples, {quantity(profile.cpu_ns, 'ns')} of CPU time"
    yield ""
    yield "  before    after   change  function"
    for change in changes[:most]:
        sure = "" if change.is_sure else "  (may be chance)"
        shares = f"{change.before:>8.1%} {change.after:>8.1%} {change.after - change.before:>+8.1%}"
        yield f"{shares}  {change.name.text}{sure}"
    yield from unknown(after)
