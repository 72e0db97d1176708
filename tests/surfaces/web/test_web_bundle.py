"""What runs in the browser is committed as it is built from its source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "src" / "kernelsight" / "surfaces" / "web" / "static"
BUILT = {"app.css", "app.js", "theme.js"}


def test_the_committed_files_are_what_is_built(tmp_path):
    node = shutil.which("node")
    if node is None or not (ROOT / "web" / "node_modules" / "esbuild").exists():
        pytest.skip("node or esbuild is not installed; `make web` installs esbuild")
    subprocess.run([node, "build.mjs", tmp_path], cwd=ROOT / "web", check=True, timeout=120)
    assert {path.name for path in tmp_path.iterdir()} == BUILT
    for name in BUILT:
        assert (STATIC / name).read_bytes() == (tmp_path / name).read_bytes(), f"{name}: run `make web`"


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_inline():
    for name in BUILT:
        text = (STATIC / name).read_text()
        assert "//cdn" not in text
        assert "@import" not in text
        assert "eval(" not in text
    for template in (ROOT / "src" / "kernelsight" / "surfaces" / "web" / "templates").iterdir():
        text = template.read_text()
        for forbidden in ("style=", "<style", "onclick", "javascript:", "|safe", "| safe", "http://", "https://"):
            assert forbidden not in text, (template.name, forbidden)
        assert text.count("<script") == text.count("<script src="), template.name
