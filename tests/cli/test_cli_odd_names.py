"""Names that are markup, emoji codes or not text in the terminal's encoding, in every command."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path
from unittest import mock

import pytest

from asd_monitor.cli.app import main
from asd_monitor.cli.console import plain_table, result_console
from tests.doubles.command_line import CommandLine

BAD = "caf\udce9.yaml"  # the byte E9 as Python passes it
MARKUP = "fan [normal] [red]:smile:.wav"


def utf8_output(*arguments: str) -> tuple[object, str, str]:
    """Return exit code, stdout and stderr of a command on streams that refuse what is not UTF-8."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict") for _ in range(2)]
    with (
        mock.patch.object(sys, "argv", ["asd-monitor", *arguments]),
        mock.patch.dict(os.environ),
        mock.patch.multiple(sys, stdout=streams[0], stderr=streams[1]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    return ended.value.code, out, err


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "check", BAD),
        ("config", "show", BAD),
        ("run", "--config", BAD),
        ("run", "--device", "hw:1", "--machine", BAD),
        ("run", "--device", BAD, "--machine", "fan01"),
        ("run", "--device", "hw:1", "--machine", "fan01", "--broker", BAD),
        ("run", "--device", "hw:1", "--machine", "fan01", "--learn", BAD),
        ("models", "list", "--models", BAD),
        ("models", "show", "--machine", "fan01", "--models", BAD),
        ("models", "promote", "--machine", "fan01", "--version", BAD),
        ("backtest", BAD, "--machine", "fan01", "--false-alarms", BAD),
        ("evaluate", BAD),
        ("evaluate", BAD, "--rules", BAD),
        ("demo", "--family", BAD),
        (BAD,),
        ("--" + BAD,),
    ],
    ids=lambda arguments: " ".join(arguments).replace(BAD, "BAD"),
)
def test_an_argument_that_is_not_text_is_refused_in_one_message(arguments: tuple[str, ...]) -> None:
    code, out, err = utf8_output(*arguments)
    assert code in (1, 2)
    assert out == ""
    assert "Traceback" not in err
    assert "caf" in err


def test_a_folder_that_is_not_text_is_listed(own_models: Path, fault: Path, tmp_path: Path) -> None:
    models = shutil.copytree(own_models, tmp_path / "caf\udce9")
    named = shutil.copy(fault, tmp_path / "caf\udce9.wav")
    common = ("--machine", "fan01", "--models", str(models))
    for command in (("models", "show"), ("score", str(named)), ("score", str(named), "--json")):
        code, out, err = utf8_output(*command, *common)
        assert (code, "Traceback" in err) == (0, False)
        assert "caf" in out


def test_a_name_is_printed_verbatim_in_tables(
    command_line: CommandLine, own_models: Path, fault: Path, tmp_path: Path
) -> None:
    named = Path(shutil.copy(fault, tmp_path / MARKUP))
    common = ("--machine", "fan01", "--models", own_models)
    assert MARKUP in command_line("score", named, *common, "--per", "file").out
    absent = tmp_path / "none" / MARKUP
    for command in ("score", "backtest"):
        assert MARKUP in command_line(command, absent, *common).err
    folder = tmp_path / MARKUP.replace(".wav", "")
    assert str(folder) in command_line("models", "list", "--models", folder).err
    assert str(folder) in command_line("evaluate", folder).err
    assert str(folder) in command_line("config", "check", folder).err


def test_results_are_printed_verbatim(capsys: pytest.CaptureFixture[str]) -> None:
    console, table = result_console(), plain_table("file")
    table.add_row(MARKUP)
    console.print(table)
    console.print(MARKUP)
    heading, *lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines] == [MARKUP, MARKUP]
    assert heading.rstrip() == "file"
