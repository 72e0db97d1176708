"""The documented module and script; the code is :mod:`kernelsight.compat.query_utils`."""

import sys

import kernelsight_python  # noqa: F401 - finds the project's Python

from kernelsight.compat.query_utils import *  # noqa: F403 - all documented queries
from kernelsight.compat.query_utils import main

if __name__ == "__main__":
    sys.exit(main())
