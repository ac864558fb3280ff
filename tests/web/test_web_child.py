"""The process of the page, ended as systemd does: SIGTERM to all processes of a service at once."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from asd_monitor.daemon.page_protocol import Beat, PageSetup
from asd_monitor.web.job import new_job
from asd_monitor.web.job_file import JobFile
from tests.doubles.page_browser import PageBrowser, free_port
from tests.doubles.page_client import window_of


@contextmanager
def page(state: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a page and send it a window."""
    setup = PageSetup(f"127.0.0.1:{port}", None, str(state), str(state), None, "edge", "1")
    beat = Beat(datetime.now(UTC), broker_connected=True, machines=["fan01"], dropped=0)
    program = [sys.executable, "-m", "asd_monitor.web.child"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        for line in (setup, beat, window_of("fan01")):
            process.stdin.write(line.payload() + b"\n")
        process.stdin.flush()
        try:
            PageBrowser(port).until("/metrics", "last_evaluated_timestamp_seconds{")
            yield process
        finally:
            process.kill()


def test_a_page_goes_on_where_the_one_before_was_cut_off_and_ends_in_order(tmp_path: Path) -> None:
    JobFile(tmp_path).write(new_job("train", "fan01", None))
    with page(tmp_path, free_port()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"reload": True}  # it may have a new model
        process.send_signal(signal.SIGTERM)
        process.stdin.close()  # as the daemon does
        assert process.wait(20) == 0
    with closing(sqlite3.connect(tmp_path / "page-history.sqlite")) as database:
        assert database.execute("SELECT windows FROM minutes").fetchall() == [(1,)]
