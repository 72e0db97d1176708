#!/usr/bin/env python3
"""Look for bytes that break the path from a line to a row, guided by which code they reach.

    python tests/torture/fuzz_ingest.py [--seconds 3600] [--seed 1] [--corpus FOLDER]

Needs atheris (the dependency group `torture`). The bytes that reached something new are kept in the corpus, from which
the next run goes on. Ends with status 0 when nothing broke, the accounts held and the store is sound; else
atheris prints what was raised and writes the bytes to a file `crash-*` in the corpus folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "build" / "torture"

with atheris.instrument_imports(include=["kernelsight.ingest"]):
    sys.path.insert(0, str(ROOT / "tests" / "ingest"))
    from whole_path import WholePath, check

    from kernelsight.events import wire
    from kernelsight.ingest import foreign, identify, lines, notations, numbers, parts, times, values  # noqa: F401
    from kernelsight.ingest.vocabulary import all_names, kinds_called

_EXAMPLE = {"INTEGER": 1, "REAL": 0.5, "TEXT": "x", "BOOLEAN": True}


def write_seeds(folder: Path) -> None:
    """One line of ours and one of others for each kind, and the cases of the tests."""
    for kind in wire.kinds().values():
        own = {column.name: (column.choices or (_EXAMPLE[column.type],))[0] for column in kind.columns[1:]}
        others = {(column.aliases or (column.name,))[0]: own[column.name] for column in kind.columns[1:]}
        line = {"type": kind.name, "timestamp": 1_795_000_000_123_456_789, **own}
        (folder / f"seed-{kind.name}").write_text(json.dumps(line) + "\n", encoding="utf-8")
        (folder / f"seed-{kind.name}-foreign").write_text(json.dumps({"ts": 1795000000.5, **others}), encoding="utf-8")
    for case in (ROOT / "tests" / "fixtures" / "cases").glob("*.*json"):
        for number, piece in enumerate(case.read_bytes().splitlines(keepends=True)):
            (folder / f"seed-{case.stem}-{number}").write_bytes(piece)
        (folder / f"seed-{case.stem}").write_bytes(case.read_bytes())


def write_dictionary(path: Path) -> None:
    """The words that mean something, and numbers at the limits."""
    words = sorted({f'\\"{word}\\":' for word in (*all_names(), *kinds_called())})
    limits = ["9" * 309, "9223372036854775808", "1e400", "-0.0", "\\\\ud800", "[{", "}]", "},{", "\\x0a"]
    path.write_text("".join(f'"{word}"\n' for word in (*words, *limits) if word.isascii()), encoding="utf-8")


def main() -> None:
    """Fuzz for a while."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    options = parser.parse_args()
    options.corpus.mkdir(parents=True, exist_ok=True)
    write_seeds(options.corpus)
    dictionary = options.corpus.with_name(f"{options.corpus.name}.dict")
    write_dictionary(dictionary)
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()  # atheris ends the process that it runs in
        if not child:
            fuzz(Path(folder), options.corpus, dictionary, options.seconds, options.seed)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            print(f"the store is sound: {sum(check(Path(folder) / 'any.db').values()):,} rows")
    sys.exit(status)


def fuzz(folder: Path, corpus: Path, dictionary: Path, seconds: int, seed: int) -> None:
    """Fuzz until the time is over or something breaks; never returns."""
    path = WholePath(folder)

    def take(data: bytes) -> None:
        cut = zlib.crc32(data) % (len(data) + 1)
        path.take([data[:cut], data[cut:]])

    settings = [
        sys.argv[0],
        str(corpus),
        f"-dict={dictionary}",
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-artifact_prefix={corpus}/",
        "-max_len=4096",
        "-rss_limit_mb=2048",
        "-timeout=30",
        "-print_final_stats=1",
    ]
    atheris.Setup(settings, take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
