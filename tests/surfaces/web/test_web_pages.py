"""The pages in a real browser."""

from __future__ import annotations

import re

import pytest
from web_machine import BUSY, HOSTILE, LENGTH, QUERY, START, now_recorded

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
expect.set_options(timeout=20_000)


def drawn(page, count):
    """Wait until so many charts are drawn."""
    expect(page.locator("section.chart .uplot")).to_have_count(count)


def test_the_first_page_draws_a_chart_for_each_part_of_the_machine(page):
    page.goto(f"/?{QUERY}")
    drawn(page, 5)
    assert page.locator("section.chart h2").all_inner_texts() == ["Pressure", "CPU", "Memory", "Disk", "Network"]
    label = page.locator("[data-chart=cpu] .plot").get_attribute("aria-label")
    assert "user last 20 %, most 90 %" in label


def range_shown(page):
    return page.locator("#range-text").inner_text()


def test_dragging_over_a_chart_zooms_all_and_the_address_keeps_it(page):
    page.goto(f"/?{QUERY}")
    drawn(page, 5)
    before = range_shown(page)
    place = page.locator("[data-chart=memory] .u-over")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.locator("#range-text")).not_to_have_text(before)
    expect(page.locator("[data-chart=cpu] .plot")).to_have_attribute("aria-label", re.compile("most 90 %"))
    zoomed = range_shown(page)
    page.reload()
    drawn(page, 5)
    assert range_shown(page) == zoomed
    page.go_back()
    expect(page.locator("#range-text")).to_have_text(before)


def test_a_click_on_a_spike_shows_the_processes_of_that_second(page):
    page.goto(f"/?{QUERY}")
    drawn(page, 5)
    place = page.locator("[data-chart=cpu] .u-over")
    box = place.bounding_box()
    second = (BUSY.start + BUSY.stop) / 2
    place.click(position={"x": box["width"] * second / LENGTH, "y": 50})
    first = page.locator("#moment-body tbody tr").first
    expect(first).to_contain_text(HOSTILE[:15])
    expect(first).to_contain_text("90 %")
    assert page.locator("img").count() == 0  # the name is text
    link = page.locator("#moment-body a.main").get_attribute("href")
    start, end = map(int, link.removeprefix("/incident/").split("-"))
    assert end - start == 60 * 10**9
    assert abs((start + end) / 2 - (START + second * 10**9)) < 3 * 10**9


def test_the_same_is_reached_by_the_keyboard(page):
    page.goto(f"/?{QUERY}")
    drawn(page, 5)
    plot = page.locator("[data-chart=cpu] .plot")
    plot.focus()
    plot.press("ArrowLeft")
    plot.press("Enter")
    expect(page.locator("#moment-body tbody tr")).to_have_count(2)
    page.keyboard.press("Escape")
    page.locator("body").press("+")
    expect(page.locator("#range-text")).to_contain_text("14:15:49")


def test_the_verdict_stands_on_top(page):
    page.goto(f"/?{QUERY}")
    expect(page.locator("#verdict .sentence")).to_contain_text("Healthy")


def test_live_charts_grow_while_rows_arrive(page, database):
    page.goto("/?since=60s")
    expect(page.locator("#live")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-chart=memory] .note")).to_contain_text("Nothing was recorded")
    with now_recorded(database):
        expect(page.locator("[data-chart=memory] .plot")).to_have_attribute(
            "aria-label", re.compile("total last 7.63 GiB")
        )


def test_sql_shows_rows_and_changes_nothing(page):
    page.goto("/sql")
    page.fill("#statement", "SELECT comm, COUNT(*) AS rows FROM process_stats GROUP BY comm ORDER BY comm;")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("main tbody tr")).to_have_count(2)
    expect(page.locator("main tbody tr").first).to_contain_text(HOSTILE[:15])
    for wrong in ("DELETE FROM process_stats", "SELECT 1) ; DROP TABLE process_stats; --", "SELECT nothing"):
        page.fill("#statement", wrong)
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("alert")).not_to_be_empty()
    page.goto("/sql?q=SELECT%20COUNT(*)%20AS%20rows%20FROM%20process_stats")
    expect(page.locator("main tbody")).to_contain_text(str(2 * LENGTH))


def test_a_question_is_answered_with_its_rows(page):
    page.goto(f"/ask?{QUERY}&q=who%20used%20most%20cpu")
    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text(HOSTILE[:15])
    answer.get_by_role("link", name="rows").first.click()
    expect(page.locator("main tbody tr").first).to_be_visible()
