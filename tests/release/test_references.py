"""The generated references: the documentation agrees with the program."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from asd_monitor.config.settings import Config, file_schema
from asd_monitor.publish import messages
from release import references
from release.configuration_reference import configuration_reference
from release.message_reference import PUBLISHED, command_table, message_tables, response_table
from release.references import differing, with_part


def keys(text: str) -> list[str]:
    """Return the first cells of the tables in a text."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_the_documentation_agrees_with_the_program() -> None:
    paths = [str(path) for path in differing(references.ROOT)]
    assert paths == [], "run `python -m release.references`"


def test_every_key_of_the_configuration_has_a_row() -> None:
    text = configuration_reference()
    found = set(keys(text))
    schema = file_schema()
    sections = (schema, *schema["$defs"].values())
    assert found == {key for section in sections for key in section.get("properties", ())}
    titles = re.findall(r"^## `(.+)`$", text, re.MULTILINE)
    assert {"mqtt.tls", "defaults.geometry.bearing", "machines.<machine>"} <= set(titles)
    assert len(titles) == len(set(titles))
    assert set(Config.model_fields) <= found


def test_bounds_units_and_defaults_are_those_of_the_settings() -> None:
    lines = configuration_reference().splitlines()
    assert any(
        line.startswith("| `on_delay_s` | number, ≥ 0, ≤ 3600 | s | `3` |") for line in lines
    )
    assert any(line.startswith("| `device` |") and "| required |" in line for line in lines)
    assert any(line.startswith("| `max_bytes` |") and "| `2 GB` |" in line for line in lines)


def test_every_key_of_every_message_has_a_row() -> None:
    text = message_tables()
    assert {each.SCHEMA for each in PUBLISHED} == set(re.findall(r"^### `(.+)`$", text, re.M))
    shown = keys(text)
    for message in PUBLISHED:
        for field in dataclasses.fields(message):
            assert field.name.rstrip("_") in shown
    kinds = {messages.Response, *PUBLISHED}
    assert kinds == set(messages.Message.__args__)
    for link in re.findall(r"\]\(#([\w-]+)\)", text):
        assert f"### {link.replace('-', ' ')}\n" in text


def test_the_unit_is_that_of_the_name() -> None:
    rows = message_tables().splitlines()
    assert any(row.startswith("| `rms_dbfs` | number, dBFS, or null |") for row in rows)
    assert any(row.startswith("| `window_s` | number, s |") for row in rows)


def test_several_values_are_named_as_such() -> None:
    rows = message_tables().splitlines()
    for row in (
        "| `load` | list of numbers |",
        "| `counters` | object of objects of integers |",
        "| `numbers` | object of numbers or null |",
        "| `checks` | object of [check result](#check-result) |",
    ):
        assert any(found.startswith(row) for found in rows), row


def test_commands_and_answers() -> None:
    assert set(keys(command_table())) == {
        *("id", "who", "why", "until", "for", "label", "from", "to", "withdraw")
    }
    assert all(row.rstrip("| ").rpartition("|")[2].strip() for row in command_table().splitlines())
    assert "accepted" in keys(response_table())


def test_a_field_without_a_meaning_is_an_error() -> None:
    from release import message_reference

    @dataclass
    class Unexplained:
        """A message."""

        known: int
        """It is known."""
        unknown: int

    with pytest.raises(LookupError, match=r"Unexplained\.unknown has no text"):
        message_reference._table(Unexplained)


def test_only_a_part_of_a_document_is_replaced() -> None:
    begin, end = "<!-- keys: by python -m release.references -->", "<!-- end of keys -->"
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert with_part(text, "keys", "new") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    with pytest.raises(ValueError, match="comments of the part 'other' are missing"):
        with_part(text, "other", "new")


def test_the_command_writes_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("configuration", "mqtt-messages", "mqtt-commands"):
        text = (references.ROOT / f"docs/{name}.md").read_text()
        (tmp_path / f"docs/{name}.md").write_text(text)
    changed = tmp_path / "docs/configuration.md"
    changed.write_text("old\n")
    monkeypatch.setattr(references, "ROOT", tmp_path)
    assert references.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/configuration.md: differs\n"
    assert references.main([]) == 0
    assert references.main(["--check"]) == 0
    assert changed.read_text() == configuration_reference()
