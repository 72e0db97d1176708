"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

import mount_uses

from kernelsight.diagnosis.exhaustible import SPACE

HOLDS = mount_uses.used_up(SPACE)
APPLIES, FAILS, DOES_NOT_APPLY = mount_uses.APPLIES, mount_uses.FAILS, mount_uses.DOES_NOT_APPLY
