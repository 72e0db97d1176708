"""Importing this makes sure that ``kernelsight`` can be imported, or says in one line what to do.

A script of this project that was started by another Python is started again by the project's own
(``.venv``), with the same arguments and the same standard input; a program from elsewhere is told to be.
"""

import importlib.util
import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = _ROOT / ".venv" / "bin" / "python"

if importlib.util.find_spec("kernelsight") is None:
    _ours = Path(sys.argv[0]).resolve().is_relative_to(_ROOT) and Path(sys.argv[0]).is_file()
    if _ours and _PYTHON.exists() and Path(sys.prefix) != _ROOT / ".venv":
        os.execv(_PYTHON, [str(_PYTHON), *sys.orig_argv[1:]])  # noqa: S606 - no shell, by intention
    sys.exit(f"kernelsight is not installed in {sys.executable}; run `make setup` in {_ROOT}, then use {_PYTHON}")
