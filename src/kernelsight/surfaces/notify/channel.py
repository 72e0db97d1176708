"""The contract of a channel: something that takes a notice to somebody."""

from __future__ import annotations

from typing import Protocol

from kernelsight.errors import KernelSightError
from kernelsight.surfaces.notify.notice import Notice


class ChannelError(KernelSightError):
    """A notice was not taken; it may be sent again."""


class Channel(Protocol):
    """A way to somebody."""

    name: str
    """What it is called in messages, such as `webhook example.org`; without any secret."""

    def send(self, notice: Notice) -> None:
        """Take a notice there.

        Raises:
            ChannelError: it was not taken.
        """
