"""The policy as a person writes it: TOML, every key checked, errors with the line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from kernelsight.agent.acting.action import Registered, actions
from kernelsight.agent.acting.policy import ActionRule, Mode, Policy, Protected, Rates, Share, Verification, Window
from kernelsight.errors import UsageError
from kernelsight.trusted_paths import UntrustedPathError, read_text

_PLACE = re.compile(r"(?P<says>.*?)(?: - at `\$(?P<path>[^`]*)`)?(?P<hint>; there are .*)?", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_HEADER = re.compile(r"\s*(\[\[?)\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*(?P<name>[\w\"'.-]+)\s*=")


class PolicyError(UsageError):
    """A policy file that says something that cannot be meant; the message names the file, the line and the key."""


class _Common(msgspec.Struct, frozen=True):
    """What every action's section may say, beside its own limits."""

    mode: Mode = "approve"
    least_confidence: Share = 0.8


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    mode: Mode = "observe"
    protect: Protected = Protected()
    rates: Rates = Rates()
    verification: Verification = Verification()
    windows: tuple[Window, ...] = ()
    actions: Annotated[dict[str, dict[str, Any]], "per action"] = {}


def load(path: str | os.PathLike[str] | None) -> Policy:
    """Read a policy file; without one, the policy is to observe.

    Raises:
        PolicyError: it cannot be read, others may write it, or it says something wrong.
    """
    if path is None:
        return Policy()
    file = Path(path)
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file}: the policy cannot be read: {error}") from error
    except UntrustedPathError as error:
        raise PolicyError(f"others than you may decide what is done: {error}") from error
    return parse(text, str(file))


def parse(text: str, name: str = "policy") -> Policy:
    """A policy from its text.

    Raises:
        PolicyError: it says something wrong; the message names the line and the key.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{name}: {error}") from error
    try:
        file = msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise _error(name, text, (), str(error)) from error
    rules = {action: _rule(name, text, action, section) for action, section in file.actions.items()}
    return Policy(file.mode, file.protect, file.rates, file.verification, file.windows, rules)


def _rule(name: str, text: str, action: str, section: Mapping[str, Any]) -> ActionRule:
    registered = actions().get(action)
    where = ("actions", action)
    if registered is None:
        raise _error(name, text, where, f"there is no such action; there are {', '.join(actions())}")
    common = {key: value for key, value in section.items() if key in _Common.__struct_fields__}
    own = {key: value for key, value in section.items() if key not in common}
    try:
        said = msgspec.convert(common, _Common)
        limits = msgspec.convert(own, registered.limits)
    except msgspec.ValidationError as error:
        raise _error(name, text, where, _with_hint(str(error), registered)) from error
    return ActionRule(limits, said.mode, said.least_confidence)


def _with_hint(says: str, registered: Registered) -> str:
    """What may stand there, where what does is not known."""
    known = sorted((*_Common.__struct_fields__, *registered.limits.__struct_fields__))
    return f"{says}; there are {', '.join(known)}" if _UNKNOWN.search(says) else says


def _error(name: str, text: str, section: Sequence[str | int], says: str) -> PolicyError:
    match = _PLACE.fullmatch(says)
    assert match is not None
    path = [*section, *(key or int(index) for key, index in _PART.findall(match["path"] or ""))]
    if unknown := _UNKNOWN.search(match["says"]):
        path.append(unknown.group(1))
    line = line_of(text, path)
    where = f"{name}, line {line}" if line else name
    dotted = ".".join(str(part) for part in path)
    return PolicyError(f"{where}: {dotted or 'the file'}: {match['says']}{match['hint'] or ''}")


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line on which a key stands, or what it belongs to; None where neither is found."""
    nearest: tuple[int, int] | None = None
    section: tuple[str | int, ...] = ()
    lists: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            name = header["name"]
            section = tuple(part.strip("\"' ") for part in name.split("."))
            if header.group(1) == "[[":
                lists[name] = lists.get(name, -1) + 1
                section = (*section, lists[name])
            here = section
        elif key := _KEY.match(line):
            here = (*section, *(part.strip("\"'") for part in key["name"].split(".")))
        else:
            continue
        same = len(here) if here == tuple(path[: len(here)]) else 0
        if same and (nearest is None or same > nearest[0]):
            nearest = same, number
    return nearest[1] if nearest else None
