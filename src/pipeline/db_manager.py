"""The documented module; the code is :mod:`kernelsight.compat.db_manager`."""

import kernelsight_python  # noqa: F401 - finds the project's Python

from kernelsight.compat.db_manager import DatabaseManager

__all__ = ["DatabaseManager"]
