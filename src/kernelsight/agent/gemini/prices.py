"""What models cost (ai.google.dev/gemini-api/docs/pricing, paid tier, as published in July 2026)."""

from __future__ import annotations

from typing import NamedTuple


class Price(NamedTuple):
    """US dollars for a million tokens. Cached input is cheaper; counting it in full, a cost is the most it can be."""

    input_usd: float
    output_usd: float


_LONG = 200_000
"""Tokens of input above which some models have a second price."""
_PRICES: dict[str, tuple[Price, Price]] = {
    "gemini-3.5-flash": (Price(1.50, 9.00), Price(1.50, 9.00)),
    "gemini-3.1-flash-lite": (Price(0.25, 1.50), Price(0.25, 1.50)),
    "gemini-3.1-pro-preview": (Price(2.00, 12.00), Price(4.00, 18.00)),
    "gemini-3-flash-preview": (Price(0.50, 3.00), Price(0.50, 3.00)),
}


def price_of(model: str, input_tokens: int) -> Price | None:
    """The price of a request; None for a model of which none is known."""
    prices = _PRICES.get(model)
    return prices and prices[input_tokens > _LONG]
