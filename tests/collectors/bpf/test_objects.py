"""The committed objects are what the sources give."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kernelsight.collectors.bpf.objects import image

REPOSITORY = Path(__file__).parents[3]
COMMITTED = REPOSITORY / "src/kernelsight/collectors/bpf/objects"
SOURCES = sorted((REPOSITORY / "bpf").glob("*.bpf.c"))


@pytest.mark.skipif(shutil.which("clang-14") is None, reason="the committed objects were made by clang-14")
def test_the_committed_objects_are_what_the_sources_give(tmp_path):
    elsewhere = tmp_path / "sources"
    shutil.copytree(REPOSITORY / "bpf", elsewhere)  # another directory must make no difference
    subprocess.run(["make", "-s", "-C", elsewhere, f"OUT={tmp_path / 'objects'}"], check=True)
    for architecture in ("x86_64", "aarch64"):
        for source in SOURCES:
            name = source.name.replace(".bpf.c", ".bpf.o")
            made, committed = tmp_path / "objects" / architecture / name, COMMITTED / architecture / name
            assert made.read_bytes() == committed.read_bytes(), f"{architecture}/{name} is old: make -C bpf"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_source_says_its_licence_as_the_kernel_asks(source):
    assert source.read_text().startswith("/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_objects_hold_no_path_of_the_machine_that_made_them(source):
    name = source.name.removesuffix(".bpf.c")
    assert not re.search(rb"/(home|root|work|tmp|build)/", image(name))
