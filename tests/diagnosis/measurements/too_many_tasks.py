"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

import task_uses

HOLDS = task_uses.met(have_ended=False)
FAILS = task_uses.FAILS | {"owner_is_known": {"owner": None}, "no_storm": {"is_storm": True}}
