"""The commands of a guide: what follows `$ ` in its blocks `console`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SERVICE = "asd-monitor@hall"


def commands_of(page: str) -> list[list[str]]:
    """Return the words of each command of a page in docs, without `sudo`, in their order."""
    text = (REPOSITORY / "docs" / page).read_text()
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = []
    for block in blocks:
        for line in re.findall(r"^\$ (.*)$", block.replace("\\\n", " "), re.MULTILINE):
            words = shlex.split(line, comments=True)
            found.append(words[1:] if words[0] == "sudo" and words[1] != "-i" else words)
    assert found, page
    return found


def check_other_program(words: list[str]) -> None:
    """Check what a command of another program names in this repository, without running it."""
    match words:
        case ["sudo", "-i"] | ["git", "pull"]:
            return
        case ["systemctl", verb, *options, unit]:
            assert verb in {"reload", "restart", "status", "enable", "disable"}
            assert options in ([], ["--now"])
            assert unit == SERVICE
        case ["systemctl", "daemon-reload"]:
            return
        case ["cp", source, "/etc/systemd/system/"]:
            assert (REPOSITORY / source).is_file()
        case ["scripts/install"]:
            assert (REPOSITORY / "scripts/install").is_file()
        case ["rm", "-r", *paths]:
            unit = (REPOSITORY / "deploy/asd-monitor@.service").read_text()
            assert all(
                path.startswith(("/etc/", "/opt/", "/usr/local/", "/var/")) for path in paths
            )
            assert all("asd-monitor" in path for path in paths)
            assert "StateDirectory=asd-monitor/" in unit
            assert "ExecStart=/opt/asd-monitor/" in unit
        case ["mosquitto_sub", *_]:
            return
        case _:
            raise AssertionError(f"a guide names a command that no test knows: {words}")
