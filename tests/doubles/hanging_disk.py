"""A disk that does not answer, for a journal."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

from asd_monitor.journal.limited_disk import DiskLimits

SHORT = DiskLimits(answer_s=1.0, opening_s=2.0, closing_s=1.0)


class HangingDisk:
    """Opens databases; statements that begin with a text wait while it hangs."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.waiting = threading.Event()
        self._answers = threading.Event()
        self._answers.set()
        self._prefix = ""

    def hang(self, prefix: str) -> None:
        """Let statements that begin with ``prefix`` wait, until `answer`."""
        self._prefix = prefix
        self.waiting.clear()
        self._answers.clear()

    def answer(self) -> None:
        """Let everything go on."""
        self._answers.set()

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        disk = self

        class Database(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                disk.statements.append(sql)
                if sql.startswith(disk._prefix) and not disk._answers.is_set():
                    disk.waiting.set()
                    disk._answers.wait()
                return super().execute(sql, *values)

            def __del__(self) -> None:
                self.close()  # a journal leaves open what it could not close in time

        return sqlite3.connect(*arguments, factory=Database, **options)
