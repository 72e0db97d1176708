"""Every page: no problem for those who do not see, do not use a mouse, or see other colours (axe-core, WCAG 2.2 AA)."""

from __future__ import annotations

from pathlib import Path

import pytest
from web_machine import END, QUERY, START

from kernelsight.surfaces.web.page import pages

AXE = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = [
    one.path.format(pid=70, window=f"{START}-{END}", table="cpu_stats") + f"?{QUERY}" for one in pages().values()
]  # fmt: skip


expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect


def shown(page, path):
    """Go to a page, and wait until its charts are drawn."""
    page.goto(path)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize(("theme", "paths"), [("light", PATHS), ("dark", PATHS[:2])])
def test_no_page_is_a_problem_to_anybody(page, theme, paths):
    if not AXE.exists():
        pytest.skip("axe-core is not installed; `make web` does it")
    page.emulate_media(color_scheme=theme)
    problems = []
    for path in paths:
        shown(page, path)
        page.evaluate(AXE.read_text())
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
        problems += [
            f"{path}: {one['id']}: {one['help']}: {[node['html'] for node in one['nodes']][:3]}"
            for one in found["violations"]
        ]
    assert not problems


def test_no_page_is_wider_than_a_phone(page):
    page.set_viewport_size({"width": 360, "height": 700})
    for path in PATHS:
        shown(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
