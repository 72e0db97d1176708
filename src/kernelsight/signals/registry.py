"""All rules: the modules of :mod:`kernelsight.signals.rules` declare them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

from kernelsight.registry import Registry
from kernelsight.signals.model import Rule

_RULES: Registry[str, Rule] = Registry("rule", "kernelsight.signals.rules")


def declare(module: str, *rules: Rule) -> None:
    """Register the rules of a module.

    Args:
        module: its full name; the last part of it is their subject.
        rules: what it declares.

    Raises:
        TypeError: a rule of such a name is registered already.
    """
    subject = module.rpartition(".")[2]
    for rule in rules:
        _RULES.add(rule.name, replace(rule, subject=subject))


def rules() -> Mapping[str, Rule]:
    """All rules by name. A new module is found by itself."""
    return _RULES.all()


def edition(rules_known: Mapping[str, Rule]) -> str:
    """Differs when any rule does: what other rules found cannot be continued."""
    parts = [
        (rule.name, rule.kind.table, rule.measure, rule.levels, rule.clear_below, *_times(rule), rule.by, rule.where)
        for rule in rules_known.values()
    ]
    return f"{zlib.crc32(repr(parts).encode()):08x}"


def _times(rule: Rule) -> tuple[int, int]:
    return rule.raise_after_s, rule.clear_after_s
