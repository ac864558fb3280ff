"""The daemon, its capture child and the broker are ended, at random moments and at writes."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from paho.mqtt.client import MQTTMessage

from experiments.chaos.box import RETAINED_LIMIT_S, Box
from experiments.chaos.file_watch import FileWatch
from experiments.chaos.journal_reading import JournalContent, read_content
from experiments.chaos.log_reports import BROKER, LogReports
from experiments.chaos.process import ChaosProcess
from experiments.chaos.scenario import Findings, Place, Scenario
from tests.doubles.mosquitto import Subscriber

_START_SHARE = 0.2  # of the kills that come before the daemon is ready
_START_S = 3.0
_WRITES = 8  # of the journal, up to a kill
_WRITE_S = 5.0
_AFTER_WRITE_S = 0.02  # a kill comes so long after the write at most
_PAUSE_S = 1.0
_STOP_LIMIT_S = 45.0  # TimeoutStopSec of the unit
_BROKER_LIMIT_S = 35.0  # the longest pause before a connection is 30 s


@dataclass(frozen=True, slots=True)
class DaemonKilled:
    """A signal ends the daemon while alarms rise, are acknowledged and clear."""

    name: str
    fault: str
    number: signal.Signals
    times: int
    at_writes: bool = False
    """Whether it comes right after a write to the journal, else at a random moment."""
    persistence: bool = False
    broker_killed: bool = False
    """Whether the broker is killed and started again, too."""
    seconds_each: float = 6.0

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault."""
        findings = Findings(times)
        with Box(place.product, place.folder, persistence=self.persistence) as box:
            box.start_broker()
            content = JournalContent()
            for number in range(times):
                chance = place.chance(self.name, number)
                content = self._once(box, content, chance, findings)
            box.finish(findings)
        return findings

    def _once(
        self, box: Box, content: JournalContent, chance: random.Random, findings: Findings
    ) -> JournalContent:
        run = box.start()
        early = chance.random() < _START_SHARE and not self.at_writes
        if early:
            run.wait(chance.uniform(0.0, _START_S))
        else:
            self._follow(box, run, content, findings)
        acknowledgement = box.acknowledge() if chance.random() < 0.5 else None
        with contextlib.ExitStack() as stack:
            subscriber = None
            if not early and not self.broker_killed:  # else nobody need publish `offline`
                subscriber = stack.enter_context(Subscriber(box.broker.port, box.availability))
            if not early:
                self._await_moment(box, chance)
            if self.broker_killed and chance.random() < 0.5:
                box.kill_broker()
            sent_s = time.monotonic()
            run.send(self.number)
            box.count_loss(run, findings)
            if subscriber is not None:
                _measure_offline(subscriber, sent_s, findings)
        code = run.wait(_STOP_LIMIT_S)
        if self.number is signal.SIGTERM and not early:
            findings.require(code == 0, f"exit code {code} after SIGTERM: {run.log[-200:]}")
        run.kill()
        if acknowledgement is not None:
            problem = box.acknowledged(acknowledgement)
            early_problem = problem is not None and "no daemon has written" in problem
            findings.require(problem is None or early_problem, f"alarms ack: {problem}")
        findings.require("Traceback" not in run.log, f"traceback in {run.log_path}")
        if not box.broker.runs:
            box.start_broker()
        return box.read_journal()

    def _follow(
        self,
        box: Box,
        run: ChaosProcess,
        content: JournalContent,
        findings: Findings,
    ) -> None:
        """Wait until the run has connected, and check what it publishes first."""
        online_s = box.wait_online(run.started_s)
        if online_s is None:
            findings.problems.append(f"no connection: {run.log[-300:]}")
            return
        if wrong := box.wait_retained(content, run.started_s, RETAINED_LIMIT_S):
            findings.problems.append(
                f"retained alarm wrong {RETAINED_LIMIT_S:g} s after the connection: {wrong}"
            )
        else:
            findings.recovered_s.append(time.monotonic() - run.started_s)

    def _await_moment(self, box: Box, chance: random.Random) -> None:
        with FileWatch(box.state) as watch:
            for _ in range(chance.randint(1, _WRITES)):
                watch.forget()
                watch.wait("alarms.db", _WRITE_S)
        if self.at_writes:
            time.sleep(chance.choice((0.0, chance.uniform(0.0, _AFTER_WRITE_S))))
        else:
            time.sleep(chance.uniform(0.0, _PAUSE_S))


def _measure_offline(subscriber: Subscriber, sent_s: float, findings: Findings) -> None:
    """Wait until the broker publishes that the box is offline; the signal was sent before."""

    def offline(messages: Sequence[MQTTMessage]) -> bool:
        return any(m.payload == b"offline" and not m.retain for m in messages)

    try:
        subscriber.wait_until(offline, timeout_s=_STOP_LIMIT_S)
        findings.seen_s.append(time.monotonic() - sent_s)
    except AssertionError:
        findings.problems.append(f"not offline within {_STOP_LIMIT_S:g} s")


@dataclass(frozen=True, slots=True)
class BrokerKilled:
    """The broker is killed and started again while the daemon runs."""

    name: str
    fault: str
    persistence: bool
    times: int = 20
    seconds_each: float = 20.0

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault."""
        findings = Findings(times)
        with Box(place.product, place.folder, persistence=self.persistence) as box:
            box.start_broker()
            run = box.start()
            box.wait_alarm(run.started_s)
            reports = LogReports(run, BROKER)
            for number in range(times):
                chance = place.chance(self.name, number)
                known, killed_s = reports.number(), time.monotonic()
                box.kill_broker()
                reports.measure(findings, known=known, since_s=killed_s, limit_s=_BROKER_LIMIT_S)
                run.wait(chance.uniform(0.0, 5.0))
                listening_s = box.start_broker()
                back_s = box.wait_online(listening_s)
                if back_s is None:
                    findings.recovered_s.append(float("inf"))
                    findings.problems.append(f"no connection: {run.log[-300:]}")
                    break
                findings.recovered_s.append(back_s - listening_s)
                wrong = [m for m in box.machines if not _is_published(box, m, listening_s)]
                findings.require(not wrong, f"no retained alarm and state after: {wrong}")
                problem = box.acknowledged(box.acknowledge())
                findings.require(problem is None, f"alarms ack: {problem}")
            limit_s = max(findings.recovered_s, default=0.0)
            findings.require(limit_s <= _BROKER_LIMIT_S, f"connected after {limit_s:.0f} s")
            box.stop(run, findings)
            box.finish(findings)
        return findings


def _is_published(box: Box, machine: str, since_s: float) -> bool:
    """Return whether alarm and state of a machine are published within the limit."""
    topics = [box.topic(machine, kind) for kind in ("alarm", "state")]
    at_s = box.proxy.wait_until(
        lambda: all(box.proxy.newest(topic, since_s) for topic in topics), RETAINED_LIMIT_S
    )
    return at_s is not None


@dataclass(frozen=True, slots=True)
class LongOutage:
    """The broker is away for hours of sound, in which the daemon is killed."""

    name: str = "outage"
    fault: str = "broker away for hours of sound (times: hours), daemon killed every 4"
    times: int = 24
    seconds_each: float = 60.0
    hours_between_kills: int = 4
    _cycles_per_hour: int = field(default=120, repr=False)

    def run(self, place: Place, times: int) -> Findings:
        """Let so many hours of sound pass."""
        findings = Findings(times)
        with Box(place.product, place.folder) as box:
            left = times
            while left > 0:
                hours = min(left, self.hours_between_kills)
                left -= hours
                self._let_pass(box, hours, place.chance(self.name, left), findings)
            listening_s = box.start_broker()
            box.finish(findings)
            last_s = max((m.at_s for m in box.proxy.acknowledged if _is_event(m.topic)), default=0)
            findings.recovered_s.append(last_s - listening_s)
            findings.require(
                all(m["historical"] for m in box.events()[:100] if "historical" in m),
                "events of the outage are not historical",
            )
        return findings

    def _let_pass(self, box: Box, hours: int, chance: random.Random, findings: Findings) -> None:
        """Run the daemon as fast as it goes until the journal has so many alarms more."""
        wanted = len(box.read_journal().alarms) + hours * self._cycles_per_hour
        run = box.start(speed=0.0)
        LogReports(run, BROKER).measure(
            findings, known=0, since_s=run.started_s, limit_s=_BROKER_LIMIT_S
        )
        with FileWatch(box.state) as watch:
            while run.runs and len(read_content(box.state).alarms) < wanted:
                for _ in range(50):
                    watch.wait("alarms.db", _WRITE_S)
        findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
        run.wait(chance.uniform(0.0, 0.2))
        run.kill()
        box.read_journal()


def _is_event(topic: str) -> bool:
    return topic.endswith("/event")


SCENARIOS: tuple[Scenario, ...] = (
    DaemonKilled("sigkill", "SIGKILL of the daemon", signal.SIGKILL, 200),
    DaemonKilled(
        "sigkill-at-writes",
        "SIGKILL of the daemon at writes of the journal",
        signal.SIGKILL,
        200,
        at_writes=True,
    ),
    DaemonKilled("sigterm", "SIGTERM of the daemon", signal.SIGTERM, 100),
    DaemonKilled(
        "sigterm-at-writes",
        "SIGTERM of the daemon at writes of the journal",
        signal.SIGTERM,
        100,
        at_writes=True,
    ),
    DaemonKilled(
        "combined",
        "SIGKILL of daemon and broker",
        signal.SIGKILL,
        100,
        at_writes=True,
        persistence=True,
        broker_killed=True,
    ),
    DaemonKilled(
        "combined-stop",
        "SIGTERM of the daemon while the broker is killed",
        signal.SIGTERM,
        50,
        broker_killed=True,
        seconds_each=12.0,
    ),
    BrokerKilled("broker", "SIGKILL of the broker, without persistence", persistence=False),
    BrokerKilled("broker-persistent", "SIGKILL of the broker, with persistence", persistence=True),
    LongOutage(),
)
