"""The process of the page: ``python -m asd_monitor.web.child``, started by the daemon.

The feed comes on the standard input, and its end ends the process.  A failure to start is one line
of JSON on the standard error: what has failed, and the remedy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from asd_monitor.errors import AsdMonitorError, OperationError
from asd_monitor.web.access_token import Access, read_secret, read_token
from asd_monitor.web.app import PageParts, build_app
from asd_monitor.web.event_stream import EventStreams
from asd_monitor.web.feed_reader import Watching, ask_reload, open_feed, read_feed, read_setup
from asd_monitor.web.history import History
from asd_monitor.web.job_file import JobFile
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.server import ListenError, listening_socket, page_server

_WRITE_S = 2.0


async def serve() -> None:
    """Serve the page until the feed ends.

    Raises:
        ListenError: The address cannot be used.
        AsdMonitorError: The token cannot be read.

    """
    reader = await open_feed()
    setup = await read_setup(reader)
    token = None if setup.token_file is None else read_token(Path(setup.token_file))
    access = Access(token, read_secret(Path(setup.state)))
    live = LiveState(setup, time.monotonic)
    streams = EventStreams(live, Watching())
    history = History(Path(setup.state))
    jobs = Jobs(JobFile(Path(setup.state)), on_change=ask_reload)
    server = page_server(build_app(PageParts(live, access, streams, history, jobs)))
    listening = listening_socket(setup.listen)
    jobs.take_up()
    serving = asyncio.create_task(server.serve([listening]), name="page.server")
    feeding = asyncio.create_task(read_feed(reader, live), name="page.feed")
    writing = asyncio.create_task(_keep_history(live, history), name="page.history")
    try:
        await asyncio.wait((serving, feeding, writing), return_when=asyncio.FIRST_COMPLETED)
        streams.close()
        server.should_exit = True
        await asyncio.gather(serving, jobs.close())
    finally:
        feeding.cancel()
        writing.cancel()
        listening.close()
        await jobs.close()
        await history.end()
    for task in (feeding, writing):
        if task.done() and not task.cancelled():
            task.result()  # a defect of it


async def _keep_history(live: LiveState, history: History) -> None:
    """Write the history every few seconds; the trends of machines that appear are taken up.

    The free space of the disk is looked at meanwhile.
    """
    live.on_window = history.push
    restored: set[str] = set()
    while True:
        await asyncio.sleep(_WRITE_S)
        await history.write()
        live.disk_free_gb = await history.free_gb()
        restored &= set(live.configured)
        for machine in set(live.configured) - restored:
            with contextlib.suppress(OperationError):  # the disk hangs
                await history.restore_trend(live, machine, datetime.now(UTC))
                restored.add(machine)


def main() -> None:
    """Serve, and say why that has failed."""
    os.set_blocking(1, False)  # a daemon that hangs must not hold the page
    try:
        asyncio.run(serve())
    except ListenError as error:
        _fail(error.text, error.remedy)
    except AsdMonitorError as error:
        what, _, remedy = str(error).rpartition(": ")
        _fail(what, remedy)


def _fail(text: str, remedy: str) -> None:
    sys.exit(json.dumps({"failed": text, "remedy": remedy}))


if __name__ == "__main__":
    main()
