"""Whether the daemon runs, and whether it is ready: ``/healthz`` and ``/readyz``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from asd_monitor.records import NO_SIGNAL
from asd_monitor.web.live_state import RECENT_S, LiveMachine, LiveState


class Health:
    """Answers of health and readiness; for everybody, and without details, only the former."""

    def __init__(self, live: LiveState) -> None:
        self._live = live

    async def healthz(self, _request: Request) -> Response:
        """Answer 200 while the daemon sends, else 503."""
        if self._live.is_fresh:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the daemon sends nothing\n", 503)

    async def readyz(self, _request: Request) -> Response:
        """Answer 200 where all machines are evaluated and the broker is connected, else why not."""
        problems = list(not_ready(self._live, datetime.now(UTC)))
        if not problems:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("".join(f"{each}\n" for each in problems), 503)


def not_ready(live: LiveState, now: datetime) -> Iterator[str]:
    """Yield what is not ready, one line each."""
    if not live.is_fresh or live.beat is None:
        yield "the daemon sends nothing"
        return
    if not live.beat.broker_connected:
        yield "the broker is not connected"
    if not live.configured:
        yield "no machine is configured"
    for machine in live.shown():
        problem = _machine_problem(machine, now)
        if problem is not None:
            yield f"{machine.id}: {problem}"


def _machine_problem(machine: LiveMachine, now: datetime) -> str | None:
    state = machine.state
    if state is None:
        return "starting"
    if not state.evaluated:
        reason = f" ({state.reason})" if state.reason else ""
        is_off = state.state == "idle" and state.microphone not in NO_SIGNAL
        return None if is_off else f"{state.state}{reason}"
    window = machine.recent_window
    if window is None or (now - window.time).total_seconds() > RECENT_S:
        return f"no sound was evaluated for {RECENT_S:g} s"
    return None
