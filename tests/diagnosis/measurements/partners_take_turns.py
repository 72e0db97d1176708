"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.cpu_time import Use
from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.switching import Switching
from kernelsight.diagnosis.window import Interval

HOLDS = Switching(
    run=Interval(3, 12),
    duration=Duration(seconds=10, over_for_s=20),
    first=Use(100, "ping", "/"),
    first_switches=100_000,
    fellows=(),
    partners=frozenset(),
    switches=250_000,
    all_switches=350_000,
    ran_s=3.9,
    given_away=0.0,
    own_lock_waits=50_000,
    victims=(),
)
FAILS = {
    "costly": {"switches": 249_000},
    "short_slices": {"ran_s": 4.1},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
    "few_programs": {"all_switches": 360_000},
    "no_lock_of_one": {"own_lock_waits": 50_001},
}
