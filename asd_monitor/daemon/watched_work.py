"""The work of the daemon beside that of the machines, as the watchdog observes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from asd_monitor.daemon.daemon_parts import DaemonParts
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.heartbeat import Heartbeat
from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.worker_thread import WorkerThread


@dataclass(frozen=True, slots=True)
class WatchedWork:
    """Work whose standstill is found."""

    name: str
    progress: Callable[[], WorkProgress]
    consequence: str
    """What does not happen while it stands still."""
    is_essential: bool = True
    """Whether a lasting standstill restarts the daemon; otherwise it is a condition of the box."""
    restart: Callable[[str], None] | None = None
    """Restarts it, for a reason; None: only a restart of the daemon does."""


def progress_of_thread(thread: WorkerThread, limit_s: float) -> WorkProgress:
    """Return the progress of a thread, which is idle while it has no work."""
    idle_reason = None if thread.pending else "no work"
    return WorkProgress(thread.done, idle_reason, limit_s)


def watched_work(
    parts: DaemonParts, heartbeat: Heartbeat, intervals: Intervals
) -> list[WatchedWork]:
    """Return all work of a daemon beside that of the machines."""
    limits, tasks = intervals.standstill, parts.tasks
    checks_s, load_s = intervals.box_checks_s + limits.task_s, limits.task_s
    journal_s = intervals.journal_poll_s + limits.task_s
    heartbeat_s = intervals.heartbeat_s + limits.task_s
    shelves_s = intervals.shelves_s + limits.task_s
    selftest_s = intervals.self_test.check_s + limits.task_s
    reload = parts.config_reload
    return [
        WatchedWork(
            "the session with the broker",
            lambda: WorkProgress(
                parts.broker.turns,
                "a pause between two attempts" if parts.broker.is_pausing else None,
                limits.broker_s,
            ),
            "nothing is published",
        ),
        WatchedWork(
            "the delivery of events",
            lambda: tasks.progress("events", parts.events.turns, limits.task_s),
            "no transition is published",
        ),
        WatchedWork(
            "the scoring thread",
            lambda: progress_of_thread(parts.scoring.thread, limits.scoring_s),
            "no sound is scored",
        ),
        WatchedWork(
            "the journal",
            lambda: tasks.progress("journal", parts.journal.turns, journal_s),
            "alarms are not written, and requests about them are not applied",
            restart=tasks.restart_of("journal"),
        ),
        WatchedWork(
            "the heartbeat",
            lambda: tasks.progress("heartbeat", heartbeat.turns, heartbeat_s),
            "the states and the status of the box are not published again",
            restart=tasks.restart_of("heartbeat"),
        ),
        WatchedWork(
            "load shedding",
            lambda: tasks.progress("load", parts.load_monitor.turns, load_s),
            "sound may be lost where the computer is too slow",
            restart=tasks.restart_of("load"),
        ),
        WatchedWork(
            "the self-test",
            lambda: tasks.progress("selftest", parts.self_test.turns, limits.self_test_s),
            "no self-test is made",
            is_essential=False,
            restart=tasks.restart_of("selftest"),
        ),
        WatchedWork(
            "the conditions of the self-test",
            lambda: tasks.progress("selftest-conditions", parts.self_test.observations, selftest_s),
            "a self-test that has failed or is overdue is not reported",
            is_essential=False,
            restart=tasks.restart_of("selftest-conditions"),
        ),
        WatchedWork(
            "the checks of disk and clock",
            lambda: tasks.progress("checks", parts.checks.checks, checks_s),
            "a full disk or a wrong clock is not found",
            is_essential=False,
            restart=tasks.restart_of("checks"),
        ),
        WatchedWork(
            "the ends of shelves",
            lambda: tasks.progress("shelves", parts.shelves.turns, shelves_s),
            "shelved alarms stay shelved after their time",
            is_essential=False,
            restart=tasks.restart_of("shelves"),
        ),
        WatchedWork(
            "the answers to commands",
            lambda: tasks.progress(
                "commands", parts.commands.turns, limits.task_s, parts.commands.idle_reason
            ),
            "commands over MQTT are not carried out",
            is_essential=False,
            restart=tasks.restart_of("commands"),
        ),
        WatchedWork(
            "the discovery by Home Assistant",
            lambda: tasks.progress(
                "discovery", parts.discovery.turns, limits.task_s, parts.discovery.idle_reason
            ),
            "Home Assistant does not know changes of the configuration",
            is_essential=False,
            restart=tasks.restart_of("discovery"),
        ),
        WatchedWork(
            "the reload",
            lambda: tasks.progress(
                "reload",
                reload.turns,
                limits.reload_s,
                None if reload.is_reloading else "none is requested",
            ),
            "the configuration is not read again",
            is_essential=False,
            restart=tasks.restart_of("reload"),
        ),
        WatchedWork(
            "storing live sound",
            lambda: progress_of_thread(parts.refits.storing, limits.storing_s),
            "no live sound is stored and no model is refitted",
            is_essential=False,
        ),
        WatchedWork(
            "writing the evidence of alarms",
            lambda: progress_of_thread(parts.evidence.thread, limits.storing_s),
            "no evidence of alarms is stored",
            is_essential=False,
        ),
        WatchedWork(
            "storing the self-tests",
            lambda: progress_of_thread(parts.self_test.storing, limits.storing_s),
            "a restart begins the self-tests anew",
            is_essential=False,
        ),
        WatchedWork(
            "waiting for the broker",
            lambda: progress_of_thread(parts.throttle.thread, limits.task_s),
            "recordings do not go on",
            is_essential=False,
        ),
    ]
