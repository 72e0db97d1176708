"""The errors that a person can do something about.

Every message says what was wrong, where, and what to do. Anything else that is raised is a
defect and is left to show its traceback.
"""


class KernelSightError(Exception):
    """Base of all errors that are the input's, the machine's or the user's, not the program's."""

    exit_code = 1


class UsageError(KernelSightError):
    """What was asked for cannot be asked for: a bad option, time, name or combination."""

    exit_code = 2


class SourceUnavailableError(KernelSightError):
    """A kernel source (a file, a probe, a counter) is not to be had here."""


class StoreError(KernelSightError):
    """The store cannot be opened, read or written."""


class ScanError(StoreError):
    """Who reads by column cannot answer; who reads by row may be asked instead."""


class StoreBusyError(StoreError):
    """Another process is writing to the store; its pid is in the message."""


class StoreLostError(StoreError):
    """What was committed before is not in the store any more; the next write begins a new one, or says why not."""


class StoreVersionError(StoreError):
    """The store was made by a newer version than this one."""
