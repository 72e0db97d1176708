"""Importing this puts ``src/pipeline`` on the path, as programs for the documented pipeline have it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src" / "pipeline"))

import kernelsight_python  # noqa: E402, F401 - finds the project's Python
