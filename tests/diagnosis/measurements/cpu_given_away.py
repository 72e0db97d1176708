"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from dataclasses import replace

from measurements import partners_take_turns as partners

HOLDS = replace(partners.HOLDS, given_away=125_000)
FAILS = {name: fields for name, fields in partners.FAILS.items() if name != "short_slices"}
