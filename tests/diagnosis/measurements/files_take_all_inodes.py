"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

import mount_uses

from kernelsight.diagnosis.exhaustible import INODES

HOLDS = mount_uses.used_up(INODES)
APPLIES, FAILS, DOES_NOT_APPLY = mount_uses.APPLIES, mount_uses.FAILS, mount_uses.DOES_NOT_APPLY
