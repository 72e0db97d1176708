"""The pages in a real browser."""

from __future__ import annotations

import pytest
from processes import PATIENCE_S
from web_machine import QUERY

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
PATIENCE_MS = PATIENCE_S * 1000


def drawn(page, count):
    """Wait until so many charts are drawn."""
    expect(page.locator("section.chart .uplot")).to_have_count(count, timeout=PATIENCE_MS)


def test_the_first_page_draws_a_chart_for_each_part_of_the_machine(page):
    page.goto(f"/?{QUERY}")
    drawn(page, 5)
    assert page.locator("section.chart h2").all_inner_texts() == ["Pressure", "CPU", "Memory", "Disk", "Network"]
    label = page.locator("[data-chart=cpu] .plot").get_attribute("aria-label")
    assert "user last 20 %, most 90 %" in label
