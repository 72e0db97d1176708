"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from growths import LEAK, NO_LEAK

HOLDS, FAILS = LEAK, NO_LEAK
