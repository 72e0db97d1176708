"""A profile as a flame graph: one HTML page that needs nothing else. Whatever names in it contain stays text."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernelsight.moments import to_next_second, to_second
from kernelsight.printable import printable
from kernelsight.profiles.profile import Profile

_LEAST_SHARE = 0.001
"""Of all samples: what is narrower cannot be seen."""
_DEEPEST = 200
_HUES = {"kernel": 28, "": 0}


@dataclass(slots=True)
class Frame:
    """A function on the way, and what it called."""

    title: str
    hue: int
    samples: int = 0
    children: dict[str, Frame] = field(default_factory=dict)
    percent: float = 0.0
    """Of its caller."""
    share: float = 0.0
    """Of all."""

    @property
    def calls(self) -> list[Frame]:
        """What it called, widest first."""
        return sorted(self.children.values(), key=lambda child: (-child.samples, child.title))


def tree(profile: Profile) -> Frame:
    """The calls of a profile from the outside in; the first level are the programs."""
    root = Frame("all", 210)
    for path in profile.paths:
        frame = root
        frame.samples += path.samples
        titles = [(printable(path.comm) or "?", "program"), *((name.text, name.where) for name in path.names)]
        for title, where in titles[:_DEEPEST]:
            frame = frame.children.setdefault(title, Frame(title, _hue(where)))
            frame.samples += path.samples
    _settle(root, max(root.samples, 1))
    return root


def flame_graph(profile: Profile, title: str) -> str:
    """The page.

    Args:
        profile: the samples.
        title: of what they are.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only this page needs it

    environment = Environment(
        loader=PackageLoader("kernelsight.profiles", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(to_second=to_second, to_next_second=to_next_second)
    return environment.get_template("flame.html").render(profile=profile, title=title, drawn=_drawn(tree(profile)))


def _drawn(root: Frame) -> Iterator[tuple[Frame, bool]]:
    """The frames in the order of the page, each twice: where it begins, and where it ends."""
    waiting = [(root, False)]
    while waiting:
        frame, ends = waiting.pop()
        yield frame, ends
        if not ends:
            waiting.append((frame, True))
            waiting += ((child, False) for child in reversed(frame.calls))


def _settle(root: Frame, samples: int) -> None:
    """Give every frame its width, and leave out those that cannot be seen."""
    frames = [root]
    root.share, root.percent = 1.0, 100.0
    while frames:
        frame = frames.pop()
        frame.children = {
            title: child for title, child in frame.children.items() if child.samples / samples >= _LEAST_SHARE
        }
        for child in frame.children.values():
            child.share = child.samples / samples
            child.percent = 100 * child.samples / max(frame.samples, 1)
            frames.append(child)


def _hue(where: str) -> int:
    """A colour for a file; the kernel's and the programs' are their own."""
    if where == "program":
        return 210
    return _HUES[where] if where in _HUES else 60 + zlib.crc32(where.encode("utf-8", "backslashreplace")) % 130
