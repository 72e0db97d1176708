"""What was decided of proposals, kept with the key: a proposal is decided once, whatever becomes of the database.

Each decision is a file that can be made once, on disk before anything is done. It holds the sealed step that decided
(`begun` or `declined`) and those that followed. So what was begun is known, counts towards the rates of the policy and
can be undone, even where its rows were removed; and rows that are put back make nobody do it again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from kernelsight.agent.acting.chain import private_folder, read_private, sync_folder
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep

_KEPT_S = 90 * 24 * 3600.0
"""For how long; a proposal of which the record says nothing else can be approved for a quarter of an hour."""


class Decided:
    """The decisions of one user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "decided"

    def decide(self, proposal: ActionStep, step: ActionStep) -> Path:
        """Write down a decision, on disk when this returns.

        Args:
            proposal: what is decided; its action and its number name the decision.
            step: the sealed step that decides it.

        Raises:
            RefusedError: it was decided already.
            StoreError: it cannot be written down.
        """
        private_folder(self._folder.parent)
        private_folder(self._folder)
        self._forget_old()
        path = self._folder / _name(proposal)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileExistsError as error:
            raise RefusedError("it was decided already") from error
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            with os.fdopen(fd, "wb") as file:
                _put(file.fileno(), [step])
            sync_folder(self._folder)
        except OSError as error:
            path.unlink()  # nothing was done
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
        return path

    def follow(self, step: ActionStep) -> None:
        """Add a sealed step to the decision that it follows, if there is one.

        Raises:
            StoreError: it cannot be written down.
        """
        for path in self._folder.glob(f"{_checked(step)}-*"):
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    _put(fd, [step])
                finally:
                    os.close(fd)
            except OSError as error:
                raise StoreError(f"{path}: cannot be written: {error.strerror}") from error

    def steps(self, since_ns: int = 0) -> list[ActionStep]:
        """The steps of all decisions since a moment.

        Raises:
            StoreError: one cannot be read.
        """
        steps: list[ActionStep] = []
        for path in self._folder.glob("*-*"):
            if path.stat().st_mtime_ns >= since_ns:
                steps += _steps(path)
        return [step for step in steps if step.timestamp >= since_ns]

    def steps_of(self, action_id: str) -> list[ActionStep]:
        """The steps of the decision about one action; none where it was not decided.

        Raises:
            StoreError: it cannot be read.
        """
        if not _is_name(action_id):
            return []
        return [step for path in self._folder.glob(f"{action_id}-*") for step in _steps(path)]

    def _forget_old(self) -> None:
        oldest = time.time() - _KEPT_S
        for path in self._folder.glob("*-*"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def _steps(path: Path) -> list[ActionStep]:
    steps = []
    for line in read_private(path).splitlines():
        with suppress(msgspec.MsgspecError):  # a crash cut it; only this user can write here
            steps.append(msgspec.json.decode(line, type=ActionStep))
    return steps


def _put(fd: int, steps: Iterable[ActionStep]) -> None:
    # A newline goes before, too: half a line of a writer that crashed must not be glued to this one.
    os.write(fd, b"".join(b"\n" + msgspec.json.encode(step) + b"\n" for step in steps))
    os.fsync(fd)


def _name(proposal: ActionStep) -> str:
    return f"{_checked(proposal)}-{proposal.sequence or 0}"


def _checked(step: ActionStep) -> str:
    name = step.action_id or ""
    if not _is_name(name):
        raise StoreError(f"{name!r} is not the name of an action")
    return name


def _is_name(name: str) -> bool:
    return name.isascii() and name.isalnum()
