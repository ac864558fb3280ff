"""`asd-monitor` as a process: the command line, and the end of the process after it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from asd_monitor.cli.app import main


def program() -> None:
    """Run the command line and end the process.

    A daemon thread may still be in native code: inference on a busy computer, or a disk that does
    not answer.  Python would end such a thread when it returns during finalization, which aborts
    the process where the code is C++ (CPython, "Cautions regarding runtime finalization").  The
    process therefore ends without finalization while there is one.

    Raises:
        SystemExit: With the exit code, where no daemon thread is left.

    """
    try:
        main()
    except SystemExit as ended:
        if any(thread.daemon for thread in threading.enumerate()):
            _end_at_once(ended.code)
        raise


def _end_at_once(code: str | int | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any longer
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
