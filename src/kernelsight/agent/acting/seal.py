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
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import msgspec

from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep
from kernelsight.trusted_paths import UntrustedPathError, open_directory, open_file

_KEY_BYTES = 32
_NAME = "actions.key"


def state_folder() -> Path:
    """Where this user's programs keep what must outlive them (XDG Base Directory; for root, FHS 3.0, 5.8).

    Raises:
        StoreError: this user has no home directory.
    """
    if base := os.environ.get("XDG_STATE_HOME"):
        return Path(base) / "kernelsight"
    if os.geteuid() == 0:
        return Path("/var/lib/kernelsight")
    try:
        return Path.home() / ".local/state/kernelsight"
    except RuntimeError as error:  # neither HOME nor an entry in the passwd database
        raise StoreError(
            f"uid {os.geteuid()} has no home directory to keep the key of its actions in; set HOME or XDG_STATE_HOME"
        ) from error


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
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = open_directory(self.folder)
            try:
                return self._read_or_made(directory, path)
            finally:
                os.close(directory)
        except OSError as error:
            raise StoreError(f"{path}: the key of this user's actions cannot be used: {error.strerror}") from error
        except UntrustedPathError as error:
            raise StoreError(f"the key of this user's actions cannot be used: {error}") from error

    def _read_or_made(self, directory: int, path: Path) -> bytes:
        try:
            fd = open_file(directory, _NAME, path, os.O_RDONLY)
        except FileNotFoundError:
            self._make(directory, path)
            fd = open_file(directory, _NAME, path, os.O_RDONLY)
        with os.fdopen(fd, "rb") as file:
            state, key = os.fstat(fd), file.read(_KEY_BYTES + 1)
        if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or len(key) != _KEY_BYTES:
            raise StoreError(f"{path}: others can read this key, or it is none; remove it, a new one will be made")
        return key

    @staticmethod
    def _make(directory: int, path: Path) -> None:
        """Make the key; of two who do so at once, one's is kept."""
        new = f"{_NAME}.{secrets.token_hex(8)}.new"
        fd = open_file(directory, new, path.with_name(new), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(fd, secrets.token_bytes(_KEY_BYTES))
            os.fsync(fd)
            with suppress(FileExistsError):
                os.link(new, _NAME, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(fd)
            os.unlink(new, dir_fd=directory)
