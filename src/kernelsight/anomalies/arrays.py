"""The arrays that the state of many series is kept in: one row a series, so that a step is a few numpy calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
"""Which series: rows of the state."""
