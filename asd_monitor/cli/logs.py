"""The format of the log: text on a terminal, JSON Lines in systemd's journal.

The log goes to stderr; results go to stdout.  Records of libraries, which use the standard
library's logging, are formatted alike.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, TextIO

import structlog
import typer
from structlog.typing import Processor

from asd_monitor.cli.terminal_abilities import has_colours


class LogFormat(StrEnum):
    """Formats of a log line."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format",
        help="Format of the log on stderr.",
        show_default="text; json under systemd",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log debug messages too.")]

# sd-daemon(3): journald takes "<N>" at the start of a line for its priority
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def effective_format(log_format: LogFormat | None) -> LogFormat:
    """Return the format that is given, or the default here."""
    if log_format is not None:
        return log_format
    is_collected = is_journal(sys.stderr, os.environ) or _is_service(os.environ)
    return LogFormat.JSON if is_collected else LogFormat.TEXT


def configure_logs(
    log_format: LogFormat | None = None,
    *,
    verbose: bool = False,
    write: Callable[[str], None] | None = None,
) -> None:
    """Send the log of structlog and of the standard library to stderr, or line by line to `write`.

    ``write`` is called in any thread, without the end of the line.
    """
    journal = is_journal(sys.stderr, os.environ)
    log_format = effective_format(log_format)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format is LogFormat.JSON:
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"))
        last += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        if not journal:  # which writes the time before each line
            shared.append(structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))
        last.append(
            structlog.dev.ConsoleRenderer(
                colors=has_colours(sys.stderr),
                pad_event_to=0,
                pad_level=False,
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    handler = logging.StreamHandler(sys.stderr) if write is None else _LineHandler(write)
    formatter = _JournalFormatter if journal else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(formatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether `stream` is connected to systemd's journal (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _is_service(environment: Mapping[str, str]) -> bool:
    # INVOCATION_ID alone is inherited by every shell of a desktop session
    return "INVOCATION_ID" in environment and environment.get("SYSTEMD_EXEC_PID") == str(
        os.getpid()
    )


class _LineHandler(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(self.format(record))


class _JournalFormatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        priority = f"<{_PRIORITIES.get(record.levelname.lower(), 6)}>"
        # the journal takes each line of a traceback for an entry of its own
        return "\n".join(f"{priority}{line}" for line in super().format(record).splitlines())
