"""What is old is not decided by a clock that was just set."""

from __future__ import annotations

import pytest

from kernelsight.stores.settled_clock import SettledClock

S = 1_000_000_000
NOW = 1_800_000_000 * S
YEAR = 365 * 86_400 * S


class Machine:
    """A machine whose wall clock is set by hand."""

    def __init__(self):
        self.up, self.set_by = 1000 * S, 0
        self.clock = SettledClock(lambda: NOW + self.up + self.set_by, lambda: self.up)

    def after(self, seconds):
        """What the time is believed to be, from NOW and the uptime, some time later; asked every ten minutes."""
        for _ in range(0, seconds, 600):
            self.up += 600 * S
            believed = self.clock.now_ns()
        return believed - NOW - self.up


@pytest.mark.parametrize("step_ns", [YEAR, -YEAR, 120 * S])
def test_a_step_is_believed_when_it_has_lasted_for_an_hour(step_ns):
    machine = Machine()
    assert machine.after(6000) == 0
    machine.set_by = step_ns
    assert machine.after(3600) == 0
    assert machine.after(1200) == step_ns


def test_a_clock_that_was_ahead_for_half_an_hour_makes_nothing_old():
    machine = Machine()
    machine.set_by = YEAR
    assert machine.after(1800) == 0
    machine.set_by = 0
    assert machine.after(7200) == 0


def test_a_clock_that_is_slewed_is_followed():
    machine = Machine()
    for _ in range(100):
        machine.set_by += 3 * S
        assert machine.after(600) == machine.set_by
