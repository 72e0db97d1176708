"""What is looked for by default; apart, because the command line shows it without loading what calculates."""

from __future__ import annotations

THRESHOLD = 3.0
"""500 series at 1 Hz are 1.8 million observations an hour, and noise alone reaches 2.4 in 210,000 of them.

Two or three witnesses together pass it, or one alone that finds what it never saw the like of.
"""
LEARN_MINUTES = 30
"""Before a range; enough for the window of the baselines and for the sketches to settle."""
MOST_SERIES = 500
"""That are watched."""
