"""The log on stderr."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import logging, sys, structlog
from asd_monitor.cli.logs import LogFormat, configure_logs
configure_logs(LogFormat(sys.argv[1]) if sys.argv[1:] else None)
log = structlog.get_logger("daemon").bind(machine="fan01")
log.info("listening", rate_hz=16000)
log.debug("not shown")
logging.getLogger("paho").warning("from %s", "paho")
try:
    raise KeyError("gone")
except KeyError:
    log.exception("broken")
print("result")
"""


def run(*arguments: str, stderr: Path, environment: dict[str, str] | None = None) -> str:
    variables = {"PATH": os.environ["PATH"], "NO_COLOR": "1", **(environment or {})}
    with stderr.open("wb") as log:
        if environment is not None and "JOURNAL_STREAM" in environment:
            status = os.fstat(log.fileno())
            variables["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
            check=True,
        )
    assert done.stdout == b"result\n"
    return stderr.read_text()


def test_the_default_format_is_text(tmp_path):
    lines = run(stderr=tmp_path / "log").splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d \[info\] +listening +machine=fan01 +rate_hz=16000", lines[0]
    )
    assert "from paho" in lines[1]
    assert "KeyError: 'gone'" in lines[-1]
    assert not any("not shown" in line or "\x1b" in line for line in lines)


def test_json_is_one_object_per_line(tmp_path):
    first, second, third = map(json.loads, run("json", stderr=tmp_path / "log").splitlines())
    assert first["message"] == "listening"
    assert (first["level"], first["machine"], first["rate_hz"]) == ("info", "fan01", 16000)
    assert first["time"].endswith("Z")
    assert (second["message"], second["level"]) == ("from paho", "warning")
    assert "KeyError: 'gone'" in third["exception"]


def test_the_journal_gets_json_with_priorities(tmp_path):
    lines = run(stderr=tmp_path / "log", environment={"JOURNAL_STREAM": ""}).splitlines()
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>"]
    assert json.loads(lines[0][3:])["message"] == "listening"


def test_text_in_the_journal_has_priorities_and_no_time_of_its_own(tmp_path):
    lines = run("text", stderr=tmp_path / "log", environment={"JOURNAL_STREAM": ""}).splitlines()
    assert re.fullmatch(r"<6>\[info\] +listening +machine=fan01 +rate_hz=16000", lines[0])
    assert "from paho" in lines[1]
    assert lines[-1] == "<3>KeyError: 'gone'"  # the end of a traceback
    assert {line[:3] for line in lines[2:]} == {"<3>"}


@pytest.mark.parametrize(
    "environment", [{"INVOCATION_ID": "1f", "SYSTEMD_EXEC_PID": "1"}, {"INVOCATION_ID": "1f"}]
)
def test_a_shell_started_by_a_service_logs_text(tmp_path, environment):
    assert not run(stderr=tmp_path / "log", environment=environment).startswith("{")
