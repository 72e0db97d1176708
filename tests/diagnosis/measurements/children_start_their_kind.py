"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from dataclasses import replace

from measurements import children_end_at_once as one_parent

HOLDS = replace(one_parent.HOLDS, each_other=True, most_forks=20)
FAILS = {
    name: one_parent.FAILS[name]
    for name in ("very_many_children", "lasts", "costly", "no_other_programs", "refused_more")
}
