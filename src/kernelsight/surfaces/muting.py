"""Acknowledging findings: what is written down, and by whom."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterable

from kernelsight.agent.acting.audit import Ledger, new_id
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Finding
from kernelsight.diagnosis.muting import holding, is_named, measured, mutes
from kernelsight.errors import StoreError, UsageError
from kernelsight.events.mute import Mute
from kernelsight.query.source import opened

_WINDOW_S = 60
"""The last seconds, which are looked at for what there is now."""
_WAIT_S = 5.0
"""A daemon takes what is left for it within a second."""


def mute(db_path: str, fault: str, culprit: str | None, reason: str, until_ns: int) -> list[Mute]:
    """Acknowledge the findings of a fault: those of the last seconds, or one that is expected of a culprit.

    Args:
        db_path: the store.
        fault: class of the findings.
        culprit: name or id of the culprit; None: of whatever is found now.
        reason: why.
        until_ns: when it expires.

    Raises:
        UsageError: nothing of the kind is found, and no culprit was named for whom it is expected.
        StoreError: the store cannot be read, or nothing be written down.
    """
    now = time.time_ns()
    diagnosis = diagnose(db_path, now - _WINDOW_S * 1_000_000_000, now)
    present = [
        finding for finding in diagnosis.present if finding.fault == fault and is_named(finding.culprit, culprit)
    ]
    if not present and culprit is None:
        raise UsageError(
            f"nothing is found of {fault} in the last {_WINDOW_S} s; --culprit NAME mutes what is expected of a culprit"
        )
    plain = Mute(now, stage="muted", fault=fault, culprit=culprit, reason=reason, until_ns=until_ns, muted_by=user())
    rows = [_of_finding(plain, finding) for finding in present] or [plain]
    for row in rows:
        row.mute_id = new_id()
    _write(db_path, rows)
    return rows


def unmute(db_path: str, mute_id: str, reason: str | None) -> Mute:
    """End a mute before its time.

    Raises:
        UsageError: there is no such mute, or it is over.
        StoreError: the store cannot be read, or nothing be written down.
    """
    now = time.time_ns()
    with opened(db_path) as reader:
        known = {held.mute_id: held for held in holding(mutes(reader), now)}
    if mute_id not in known:
        raise UsageError(f"no mute {mute_id!r} holds; `kernelsight mute --list` lists those that do")
    ended = known[mute_id]
    ended.timestamp, ended.stage, ended.reason, ended.muted_by = now, "unmuted", reason, user()
    _write(db_path, [ended])
    return ended


def listed(db_path: str) -> list[Mute]:
    """The mutes that hold now, the newest first.

    Raises:
        StoreError: the store cannot be read.
    """
    with opened(db_path) as reader:
        return holding(mutes(reader), time.time_ns())


def user() -> str:
    """Who asks: the user, and through sudo the one behind root."""
    uid = os.getuid()
    behind = os.environ.get("SUDO_UID", "") if uid == 0 else ""
    return f"{_name(int(behind))} (sudo)" if behind.isascii() and behind.isdigit() else _name(uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _of_finding(plain: Mute, finding: Finding) -> Mute:
    symptom, magnitude = measured(finding)
    return Mute(
        plain.timestamp,
        stage=plain.stage,
        fault=plain.fault,
        culprit_kind=finding.culprit.kind,
        culprit=finding.culprit.name,
        reason=plain.reason,
        until_ns=plain.until_ns,
        muted_by=plain.muted_by,
        confidence=finding.confidence,
        symptom=symptom,
        magnitude=magnitude,
    )


def _write(db_path: str, rows: Iterable[Mute]) -> None:
    """Leave rows for the writer, and wait until the next answer knows of them."""
    rows = list(rows)
    ledger = Ledger(db_path)
    ledger.write(*rows)
    ledger.deliver()
    wanted = {(row.mute_id, row.timestamp) for row in rows}
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        with opened(db_path) as reader:
            if wanted <= {(row.mute_id, row.timestamp) for row in mutes(reader)}:
                return
        time.sleep(0.1)
    raise StoreError(f"{db_path}: it is written down, but the daemon has not stored it within {_WAIT_S:g} s")
