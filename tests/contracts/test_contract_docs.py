"""The documents and the program agree."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from asd_monitor import __version__
from asd_monitor.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "deploy/README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/configuration.md",
    "docs/encoders.md",
    "docs/backup.md",
    "docs/after-a-repair.md",
    "docs/evidence.md",
    "docs/home-assistant.md",
    "docs/mqtt-commands.md",
    "docs/mqtt-messages.md",
    "docs/at-an-alarm.md",
    "docs/at-a-false-alarm.md",
    "docs/upgrade-and-removal.md",
    "docs/troubleshooting.md",
    "docs/first-machine.md",
    "docs/placement.md",
    "docs/first-days.md",
    "docs/machine-off.md",
)
LINKED = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "docs", "docs/method", "deploy")
    for path in (ROOT / folder).glob("*.md")
)
PROGRAM: Any = typer.main.get_command(app)  # a click group; typer has a click of its own


def command_of(words: list[str]) -> tuple[Any, list[str]] | None:
    """Return the command that `words` begin with, and its name as a list; None: none."""
    found = PROGRAM
    names: list[str] = []
    for word in words:
        if not hasattr(found, "commands"):
            break
        if word not in found.commands:
            return None
        found, names = found.commands[word], [*names, word]
    return found, names


def leaves(command: Any, names: tuple[str, ...] = ()) -> set[str]:
    children = getattr(command, "commands", None)
    if children is None:
        return {" ".join(names)}
    return {leaf for name, child in children.items() for leaf in leaves(child, (*names, name))}


def shown_commands(text: str) -> list[list[str]]:
    """Return the words after each `asd-monitor` in code, lines that go on joined."""
    code = re.findall(r"```.*?\n(.*?)```", text.replace("\\\n", " "), re.DOTALL)
    code += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    calls = [
        re.split(r"\s[|#>]", call)[0].split()
        for block in code
        for call in re.findall(r"(?:^|[\s/])asd-monitor ([^\n]+)", block, re.MULTILINE)
    ]
    return [call for call in calls if re.fullmatch(r"[a-z-]+", call[0])]


@pytest.mark.parametrize("command", sorted(leaves(PROGRAM)))
def test_the_readme_names_every_command(command: str) -> None:
    text = (ROOT / "README.md").read_text()
    group, _, verb = command.partition(" ")
    named = re.search(rf"`(?:asd-monitor )?{group}\b[^`]*`", text) is not None
    assert named, f"README.md does not name asd-monitor {command}"
    if verb:
        assert re.search(rf"{group} [^\n]*\b{verb}\b", text), f"README.md: {group} without {verb}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_the_documents_show_can_be_typed(document: str) -> None:
    for words in shown_commands((ROOT / document).read_text()):
        found = command_of(words)
        assert found is not None, f"{document}: asd-monitor {' '.join(words)}: no such command"
        command, names = found
        options = {option for parameter in command.params for option in parameter.opts}
        options |= {"--help"}
        for word in words[len(names) :]:
            if word.startswith("-") and word != "-":
                assert word.split("=")[0] in options, f"{document}: {' '.join(words)}: {word}"


def test_the_readme_shows_commands_at_all() -> None:
    assert len(shown_commands((ROOT / "README.md").read_text())) > 8


@pytest.mark.parametrize("document", LINKED)
def test_files_that_the_documents_name_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of a document, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", LINKED)
def test_headings_that_the_documents_name_exist(document: str) -> None:
    path = ROOT / document
    for name, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", path.read_text()):
        target = path.parent / name if name else path
        assert anchor in anchors(target), f"{document}: {name}#{anchor}"


def test_every_guide_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{path.name})" in text, path.name


def test_architecture_lists_the_folders_that_there_are() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    package = ROOT / "asd_monitor"
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    listed = set(re.findall(r"^ {4}(\w+)/ ", text, re.MULTILINE))
    assert listed == folders
    for name in re.findall(r"(\w+\.py)\b", text):
        assert list(package.rglob(name)), name


def test_the_changelog_knows_this_version() -> None:
    assert re.search(
        rf"^## \[{re.escape(__version__)}\]", (ROOT / "CHANGELOG.md").read_text(), re.M
    )


def test_the_service_is_installed_from_the_clone() -> None:
    text = (ROOT / "deploy/README.md").read_text()
    assert "    sudo scripts/install " in text
    for name in re.findall(r"(?:cp|-c) (\S+)", text):
        assert (ROOT / name).exists(), name
    [folder] = re.findall(r"ASD_VENV:=(\S+)}", (ROOT / "scripts/install").read_text())
    unit = (ROOT / "deploy/asd-monitor@.service").read_text()
    assert f"ExecStart={folder}/bin/asd-monitor run" in unit


def test_every_test_double_is_documented() -> None:
    text = (ROOT / "tests/doubles/__init__.py").read_text()
    documented = set(re.findall(r"^ {4}(\w+) {2,}", text, re.MULTILINE))
    doubles = {path.stem for path in (ROOT / "tests/doubles").glob("*.py")} - {"__init__"}
    assert documented == doubles
