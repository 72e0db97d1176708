"""What an answer may cost, and what it has cost so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kernelsight.agent.gemini.prices import price_of
from kernelsight.agent.model import Usage
from kernelsight.errors import KernelSightError


class BudgetSpentError(KernelSightError):
    """A budget is used up; the message says which."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one answer may take."""

    steps: int = 16
    """Requests to the model."""
    tokens: int = 300_000
    """Of input and output together, over all requests; what is sent again counts again, as it does on the bill."""
    seconds: float = 180.0


class Meter:
    """Counts what one answer costs against its budget."""

    def __init__(self, budget: Budget, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._model = model
        self._clock = clock
        self._began = clock()
        self._cost_usd: float | None = 0.0
        self.steps = self.calls = self.retries = 0
        self.input_tokens = self.cached_tokens = self.output_tokens = 0

    @property
    def seconds_left(self) -> float:
        """Until the budget of time is used up."""
        return self._budget.seconds - (self._clock() - self._began)

    @property
    def is_last_step(self) -> bool:
        """Whether the next request must be the last: no other fits into the budget, going by those before."""
        used = self.input_tokens + self.output_tokens
        each = used / self.steps if self.steps else 0.0
        # Each request holds all before it, so the next is longer than they were on average: twice is about right.
        return self.steps + 1 >= self._budget.steps or used + 4 * each >= self._budget.tokens

    def step(self) -> None:
        """Begin a request.

        Raises:
            BudgetSpentError: there is none left.
        """
        if self.steps >= self._budget.steps:
            raise BudgetSpentError(f"{self._budget.steps} steps are used up")
        if self.input_tokens + self.output_tokens >= self._budget.tokens:
            raise BudgetSpentError(f"{self._budget.tokens:,} tokens are used up")
        self.check_time()
        self.steps += 1

    def check_time(self) -> None:
        """Raise BudgetSpentError when the time is used up."""
        if self.seconds_left <= 0:
            raise BudgetSpentError(f"{self._budget.seconds:g} seconds are used up")

    def spend(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> None:
        """Count what a request took."""
        self.input_tokens += input_tokens
        self.cached_tokens += cached_tokens
        self.output_tokens += output_tokens
        price = price_of(self._model, input_tokens)
        if price is None or self._cost_usd is None:
            self._cost_usd = None
        else:
            self._cost_usd += (input_tokens * price.input_usd + output_tokens * price.output_usd) / 1e6

    @property
    def usage(self) -> Usage:
        """What it has cost so far."""
        return Usage(
            seconds=self._clock() - self._began,
            steps=self.steps,
            calls=self.calls,
            retries=self.retries,
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self._cost_usd,
        )
