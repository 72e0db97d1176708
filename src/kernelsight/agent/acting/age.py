"""How long ago a step of an action was, by stamps that outlive the process that made them."""

from __future__ import annotations

import math

from kernelsight.agent.acting.policy import NS_PER_S
from kernelsight.events.action import ActionStep
from kernelsight.query.source import AHEAD_NS

CLOCK_SET_BACK = "the clock was set back since"


def age_s(step: ActionStep, now_ns: int) -> float:
    """Seconds since a step; infinite where its stamp lies ahead, since nobody knows then how long ago it was."""
    if step.timestamp > now_ns + AHEAD_NS:
        return math.inf
    return (now_ns - step.timestamp) / NS_PER_S
