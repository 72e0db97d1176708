"""One store, one server and one browser for all tests of the web pages."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from processes import PATIENCE_S
from web_machine import recorded
from web_serving import serving


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("web") / "machine.db")


@pytest.fixture(scope="session")
def address(database):
    with serving(database) as address:
        yield address


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture(scope="session")
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium here (packages.debian)")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page that must not say anything on its console."""
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800}, timezone_id="UTC")
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    said = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    yield page
    context.close()
    assert not said
