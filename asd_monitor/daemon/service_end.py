"""The end of the daemon after its tasks: what is left is delivered, written and released."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from asd_monitor.daemon.daemon_parts import DaemonParts
from asd_monitor.daemon.runtime_options import ShutdownLimits
from asd_monitor.daemon.shutdown import Step, run_stage, run_step
from asd_monitor.worker_thread import WorkerThread, in_daemon_thread


async def close_daemon(
    parts: DaemonParts,
    delivery: asyncio.Task[None] | None,
    *,
    limits: ShutdownLimits,
    stop_requested: asyncio.Event,
    on_delivered: Callable[[], None],
) -> None:
    """End all parts, each within its limit.

    Args:
        parts: The parts of the daemon.
        delivery: The task that delivers events; None: it was not begun.
        limits: Time limits.
        stop_requested: Set where messages are not to be waited for any longer.
        on_delivered: Called when they are not waited for any longer; what follows is a stop, whose
            time systemd limits.

    """
    parts.throttle.close()
    parts.checks.close()
    parts.commands.close()
    parts.discovery.close()
    end_delivery_s = limits.end_delivery_s
    if not stop_requested.is_set():  # of recordings that have ended
        write = partial(_write_evidence, parts, end_delivery_s)
        step = Step("write the evidence of alarms", end_delivery_s + limits.margin_s, write)
        await run_step(step, cancel_s=limits.cancel_s)
    deliver = partial(_deliver_until_stopped, parts, end_delivery_s, stop_requested)
    step = Step("deliver what is left", end_delivery_s + limits.margin_s, deliver)
    await run_step(step, cancel_s=limits.cancel_s)
    on_delivered()
    for steps in closing_stages(parts, delivery, limits=limits):
        await run_stage(steps, cancel_s=limits.cancel_s)


def closing_stages(
    parts: DaemonParts,
    delivery: asyncio.Task[None] | None,
    *,
    limits: ShutdownLimits,
) -> tuple[tuple[Step, ...], ...]:
    """Return what follows after a stop was requested; the steps of a stage run at the same time.

    The arguments are those of `close_daemon`.
    """
    delivery_s = limits.stop_delivery_s
    disconnect = partial(in_daemon_thread, partial(parts.broker.stop, delivery_s), "disconnect")
    release = partial(in_daemon_thread, parts.lock.release, "release state")
    return (
        (
            Step("stop sharing sound", limits.step_s, parts.sharing.stop),
            Step("stop scoring", limits.step_s, parts.scoring.close),
            Step("store live sound", limits.step_s, partial(_finish_refits, parts, limits)),
            Step("write evidence", limits.step_s, partial(parts.evidence.close, limits.step_s)),
            Step(
                "store the self-tests", limits.step_s, partial(parts.self_test.close, limits.step_s)
            ),
        ),
        (Step("disconnect from the broker", delivery_s + limits.margin_s, disconnect),),
        (Step("close the journal", limits.journal_s, partial(_close_journal, parts, delivery)),),
        (Step("release the state folder", limits.step_s, release),),
    )


async def _write_evidence(parts: DaemonParts, limit_s: float) -> None:
    """Write the evidence that waits, and note it in the journal."""
    await parts.evidence.close(limit_s)
    await parts.registry.check_requests()


async def _finish_refits(parts: DaemonParts, limits: ShutdownLimits) -> None:
    await parts.refits.storing.finish(limits.step_s)


async def _close_journal(parts: DaemonParts, delivery: asyncio.Task[None] | None) -> None:
    if delivery is not None:
        delivery.cancel()
    parts.events.close()
    await parts.journal.close()


async def _deliver_until_stopped(
    parts: DaemonParts, limit_s: float, stop_requested: asyncio.Event
) -> None:
    """Give the messages of recordings that have ended time, unless a stop is requested."""
    delivering = WorkerThread("deliver")
    delivered = delivering.submit(
        lambda: parts.broker.wait_for(lambda _: _is_delivered(parts), limit_s)
    )
    delivering.close()
    stop = asyncio.create_task(stop_requested.wait(), name="stop")
    await asyncio.wait((delivered, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()


def _is_delivered(parts: DaemonParts) -> bool:
    return not parts.events.has_more and parts.broker.pending == 0
