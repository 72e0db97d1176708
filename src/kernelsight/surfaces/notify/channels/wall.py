"""Write a notice to the terminals of all who are logged in, by wall(1)."""

from __future__ import annotations

import shutil
import subprocess

from kernelsight.surfaces.notify.channel import ChannelError
from kernelsight.surfaces.notify.notice import Notice

_TIMEOUT_S = 10.0


class Wall:
    """The terminals of this machine."""

    name = "wall"

    def send(self, notice: Notice) -> None:
        """Write it."""
        program = shutil.which("wall")
        if program is None:
            raise ChannelError("wall: there is no such program; Debian has it in bsdutils")
        try:
            ran = subprocess.run(
                [program], input=notice.text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChannelError(f"wall: {error}") from error
        if ran.returncode:
            raise ChannelError(f"wall: {ran.stderr.strip() or f'exit code {ran.returncode}'}")
