"""The guides are for a Debian with nothing on it: what they type is installed by what they say."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
STANDARD = {
    "bash",
    "cp",
    "echo",
    "export",
    "ln",
    "rm",
    "ssh",
    "systemctl",
    "tee",
    "asd-monitor",
    "pip",
}
PACKAGES = {
    "alsactl": "alsa-utils",
    "alsamixer": "alsa-utils",
    "git": "git",
    "mosquitto_sub": "mosquitto-clients",
    "python3": "python3-venv",
}


def programs(text: str) -> set[str]:
    """Return the programs of the commands of a guide, those behind a pipe as well."""
    found = set()
    for line in re.findall(r"^ *\$ (.*)$", text.replace("\\\n", " "), re.MULTILINE):
        for words in map(shlex.split, re.split(r" [|] | && ", line.split("  #")[0])):
            program = words[words[0] == "sudo" and len(words) > 1]
            found |= {Path(program).name} if "/" not in program or "/opt/" in program else set()
    return found - {"", "-i", "apt-get", "python"}  # `.`, a login, the installer, an environment


def installed(text: str) -> set[str]:
    """Return the packages that a guide installs."""
    lines = re.findall(r"apt(?:-get)? install ([a-z0-9 -]+)", text)
    if "scripts/install" in text:
        lines += re.findall(r"^packages=\((.+)\)", (ROOT / "scripts/install").read_text(), re.M)
    return {name for line in lines for name in line.split()}


@pytest.mark.parametrize("guide", GUIDES)
def test_each_program_of_a_guide_is_installed_by_it_or_at_the_first_machine(guide: str) -> None:
    text = (ROOT / guide).read_text()
    there = installed(text) | installed((ROOT / "docs/first-machine.md").read_text())
    for program in programs(text) - STANDARD:
        assert program in PACKAGES, f"{guide}: {program}: which package has it?"
        assert PACKAGES[program] in there, f"{guide}: {program}: {PACKAGES[program]} is missing"


def test_the_first_machine_begins_with_a_clone() -> None:
    text = (ROOT / "docs/first-machine.md").read_text()
    assert "git" in installed(text)
    assert "alsamixer" in programs((ROOT / "docs/placement.md").read_text())


def test_the_readme_lists_each_page_once() -> None:
    listed = (ROOT / "README.md").read_text().partition("\n## Documentation\n")[2]
    heads = re.findall(r"(?:^- |; ?\n? *)\[(docs/[^]]+\.md)\]", listed, re.MULTILINE)
    assert sorted(heads) == sorted(set(heads))
    assert set(heads) >= {f"docs/{path.name}" for path in (ROOT / "docs").glob("*-*.md")}
