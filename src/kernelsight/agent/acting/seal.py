"""Records that are ours: sealed, so that nobody who can write to the database can have anything done or undone.

The database may belong to another user than the one who acts, and whoever can write to it could put a step there that
says what was before in any file of the machine. So each step carries a seal (HMAC-SHA256) with a key that only the
user who acts can read, and steps without a seal that fits are shown to people, but never acted upon.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from functools import cached_property
from pathlib import Path

import msgspec

from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep

_KEY_BYTES = 32
_NAME = "actions.key"


def state_folder() -> Path:
    """Where this user's programs keep what must outlive them (XDG Base Directory; for root, FHS 3.0, 5.8)."""
    if base := os.environ.get("XDG_STATE_HOME"):
        return Path(base) / "kernelsight"
    return Path("/var/lib/kernelsight") if os.geteuid() == 0 else Path.home() / ".local/state/kernelsight"


class Seal:
    """Seals steps, and knows its own seals."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the key from a folder when it is first needed; one is made where there is none."""
        self.folder = folder or state_folder()

    def sealed(self, step: ActionStep) -> ActionStep:
        """The step with its seal.

        Raises:
            StoreError: the key cannot be read or made, or others could.
        """
        return msgspec.structs.replace(step, seal=self._of(step))

    @property
    def exists(self) -> bool:
        """Whether this user has a key, so that seals can be judged."""
        return (self.folder / _NAME).exists()

    @property
    def name(self) -> str:
        """Which key it is; it tells nothing of the key itself."""
        return hashlib.sha256(b"name of " + self._key).hexdigest()[:16]

    def holds(self, step: ActionStep) -> bool:
        """Whether a step is one of ours, as it was written; never without a key, and none is made for this."""
        if step.seal is None or not self.exists:
            return False
        return hmac.compare_digest(step.seal.encode(), self._of(step).encode())

    def _of(self, step: ActionStep) -> str:
        text = msgspec.json.encode(msgspec.structs.replace(step, seal=None))
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    @cached_property
    def _key(self) -> bytes:
        path = self.folder / _NAME
        try:
            if not path.exists():
                self._make(path)
            state, key = path.stat(), path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path}: the key of this user's actions cannot be used: {error.strerror}") from error
        if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or len(key) != _KEY_BYTES:
            raise StoreError(f"{path}: others can read this key, or it is none; remove it, a new one will be made")
        return key

    def _make(self, path: Path) -> None:
        """Make the key; of two who do so at once, one's is kept."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"{_NAME}.{os.getpid()}.new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, secrets.token_bytes(_KEY_BYTES))
            os.fsync(fd)
            if not path.exists():
                os.link(new, path)
        except FileExistsError:
            return
        finally:
            os.close(fd)
            new.unlink()
