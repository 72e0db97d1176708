"""The pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from kernelsight.events.wire import kinds
from kernelsight.surfaces import docs
from kernelsight.surfaces.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def commands(command: click.Command = main, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found |= commands(child, (*path, name))
    return found


def test_generated_pages_are_up_to_date():
    docs.check(ROOT / "docs", docs.pages(main))


def test_a_stale_page_is_noticed_and_written_again(tmp_path):
    texts = docs.pages(main)
    docs.write(tmp_path, texts)
    docs.check(tmp_path, texts)
    (tmp_path / "cli.md").write_text("something else")
    with pytest.raises(docs.StaleDocsError, match=r"cli\.md disagree"):
        docs.check(tmp_path, texts)
    assert docs.write(tmp_path, texts) == [tmp_path / "cli.md"]


def test_every_kind_and_column_is_in_the_data_dictionary():
    sections = (ROOT / "docs/data-dictionary.md").read_text().split("\n## ")[1:]
    by_name = {section.partition("\n")[0]: section for section in sections}
    assert set(by_name) == set(kinds())
    for kind in kinds().values():
        assert f"table: `{kind.table}`" in by_name[kind.name]
        for column in kind.columns:
            assert f"| `{column.name}` | {column.type} |" in by_name[kind.name]


@pytest.mark.parametrize("path", [path for path, command in commands().items() if not command.hidden])
def test_every_command_and_option_is_in_the_reference(path):
    reference = (ROOT / "docs/cli.md").read_text()
    section = re.split(rf"^## {' '.join(('kernelsight', *path))}$", reference, flags=re.MULTILINE)[1].split("\n## ")[0]
    for option in commands()[path].params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.name} has no help"
            assert option.opts[-1] in section


def test_an_undocumented_command_is_an_error():
    silent = click.Command("silent", callback=lambda: None)
    with pytest.raises(docs.StaleDocsError, match="no help text"):
        docs.cli_reference(click.Group("tool", commands=[silent], help="A tool."))


def test_an_undocumented_option_is_an_error():
    command = click.Command("tool", help="A tool.", params=[click.Option(["--silent"])])
    with pytest.raises(docs.StaleDocsError, match="--silent"):
        docs.cli_reference(command)


def test_a_bar_in_a_cell_does_not_break_the_table():
    command = click.Command("tool", help="A tool.", params=[click.Option(["--way"], help="this | that")])
    assert "| `--way TEXT` | this \\| that |" in docs.cli_reference(command)


def test_the_pages_name_only_commands_that_exist():
    known = commands()
    used = re.compile(r"(?:^|[`/|] ?)kernelsight ((?:[a-z]+ ?)+)", re.MULTILINE)
    found = [(page.name, words.split()) for page in PAGES for words in used.findall(page.read_text())]
    assert found
    for page, words in found:
        assert (words[0],) in known, f"{page} names the command {words[0]!r}"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_begins_with_the_two_commands():
    beginning = (ROOT / "README.md").read_text()[:600]
    assert "./start_kernelsight.sh" in beginning
    assert "make test" in beginning
