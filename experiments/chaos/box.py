"""A box under test: configuration, state folder, daemon, broker, and the audit of its events."""

from __future__ import annotations

import contextlib
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from asd_monitor.errors import OperationError
from benchmarks.mosquitto import MosquittoProcess
from experiments.chaos.event_audit import EventAudit, equal_ids
from experiments.chaos.journal_reading import JournalContent, JournalEvent, read_content
from experiments.chaos.process import ChaosProcess
from experiments.chaos.product import MACHINES, Product
from experiments.chaos.recording_proxy import RecordingProxy
from experiments.chaos.scenario import Findings, SampleLoss

BOX = "edge"
FAST = 20.0
"""Speed of recordings: an alarm rises every 1.5 s for each machine."""
RETAINED_LIMIT_S = 5.0
"""After the connection of a new run every retained topic is right within this time."""
_DELIVERY_S = 90.0
_UNIT = {"MALLOC_ARENA_MAX": "2"}
"""The environment of the service unit."""
_PERSISTENT = ("persistence true", "autosave_interval 1", "autosave_on_changes true")


class Box:
    """Runs of the daemon on one state folder; use it with ``with``.

    Args:
        product: The program.
        folder: For everything that is written.
        devices: The device of each machine; None: the alarm cycle.
        persistence: Whether the broker keeps its messages on the disk.
        mqtt: Further settings of the section `mqtt`.
        tls: What the proxy speaks to the daemon.
        state: The state folder; None: in ``folder``.

    """

    def __init__(
        self,
        product: Product,
        folder: Path,
        *,
        devices: Mapping[str, str] | None = None,
        persistence: bool = False,
        mqtt: Mapping[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
        state: Path | None = None,
    ) -> None:
        self.product = product
        self.folder = folder
        self.state = state or folder / "state"
        self.audit = EventAudit()
        self.machines = tuple(devices or MACHINES)
        self._devices = devices or dict.fromkeys(MACHINES, f"file:{product.cycle}?loop")
        self._mqtt = dict(mqtt or {})
        self._runs = 0
        self._event_ids: set[str] = set()
        self._counted = 0  # acknowledged messages that `event_ids` has seen
        self._on_recordings = True
        self._undo = contextlib.ExitStack()
        persistent = [*_PERSISTENT, f"persistence_location {folder}/"] if persistence else []
        settings = ("allow_anonymous true", "log_type none", "max_queued_messages 0", *persistent)
        self.broker = MosquittoProcess(folder, settings)
        self._undo.callback(self.broker.kill)
        self.proxy = self._undo.enter_context(RecordingProxy(self.broker.port, tls=tls))
        self.state.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def start_broker(self) -> float:
        """Start the broker; return the monotonic time at which it listens."""
        self.broker.start()
        self.broker.wait_until_listening()
        self.proxy.listen()
        return time.monotonic()

    def kill_broker(self) -> None:
        """End the broker by SIGKILL."""
        self.broker.kill()
        self.proxy.refuse()

    def start(
        self,
        *,
        devices: Mapping[str, str] | None = None,
        speed: float = FAST,
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> ChaosProcess:
        """Start a daemon; it is killed at the end of the experiment at the latest.

        ``before`` is a command that starts the program, such as one that limits its memory.
        """
        devices = devices or self._devices
        self._on_recordings = all(device.startswith("file:") for device in devices.values())
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(self._config(devices)))
        self._runs += 1
        places = ("--models", self.product.models, "--state", self.state)
        process = ChaosProcess(
            [*before, *self.product.command("run", "--config", config, *places, "--speed", speed)],
            self.folder / f"run{self._runs:05}.log",
            environment={**self.product.environment, **_UNIT, **(environment or {})},
        )
        self._undo.callback(process.kill)
        return process

    def _config(self, devices: Mapping[str, str]) -> dict[str, Any]:
        alarm = {"on_delay_s": 1, "off_delay_s": 3}
        first = self.machines[0]
        defaults: dict[str, Any] = {"alarm": {**alarm, "latch": False}}
        if (
            self.product.tree / "asd_monitor" / "commissioning"
        ).exists():  # an earlier one has none
            defaults["commissioning"] = {"days": 0}
        return {
            "version": 1,
            "box": BOX,
            "mqtt": {"host": "localhost", "port": self.proxy.port, **self._mqtt},
            "defaults": defaults,
            "machines": {
                name: {"device": device, "alarm": {**alarm, "latch": name == first}}
                for name, device in devices.items()
            },
        }

    def acknowledge(self) -> subprocess.Popen[str]:
        """Begin to acknowledge the alarms of the machine with latch; see `acknowledged`."""
        command = self.product.command(
            *("alarms", "ack", "--machine", self.machines[0], "--who", "ann", "--state", self.state)
        )
        process = subprocess.Popen(
            command,
            env=self.product.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._undo.callback(process.kill)
        return process

    def acknowledged(self, command: subprocess.Popen[str]) -> str | None:
        """Wait for the command; return why it failed, None where it did not."""
        output, error = command.communicate(timeout=_DELIVERY_S)
        done = [line.partition(": ") for line in output.splitlines()]
        self.audit.acknowledged_alarms |= {
            id_ for id_, _, rest in done if "acknowledged" in rest or "waits" in rest
        }
        return None if command.returncode == 0 else error.strip().splitlines()[-1]

    def topic(self, machine: str, kind: str) -> str:
        """Return a topic of a machine."""
        return f"asd/{machine}/{kind}"

    @property
    def availability(self) -> str:
        """The topic of the availability."""
        return f"asd/box/{BOX}/availability"

    def events(self) -> list[dict[str, Any]]:
        """Return the acknowledged events of all machines, in order."""
        return [m.document for m in list(self.proxy.acknowledged) if m.topic.endswith("/event")]

    def event_ids(self) -> set[str]:
        """Return the ids of the acknowledged events; each message is parsed once."""
        messages = self.proxy.acknowledged
        for number in range(self._counted, len(messages)):
            if messages[number].topic.endswith("/event"):
                self._event_ids.add(messages[number].document["id"])
            self._counted = number + 1
        return self._event_ids

    def newest_score(self, machine: str) -> tuple[float, dict[str, Any]]:
        """Return the newest score of a machine and the monotonic time of its arrival."""
        return self.proxy.scores.get(self.topic(machine, "score"), (0.0, {}))

    def wait_online(self, since_s: float, timeout_s: float = 60.0) -> float | None:
        """Wait for ``online`` after a time; return when it was acknowledged."""

        def online() -> bool:
            found = self.proxy.newest(self.availability, since_s)
            return found is not None and found.payload == b"online"

        return self.proxy.wait_until(online, timeout_s)

    def wait_evaluated(self, since_s: float, timeout_s: float = 60.0) -> float | None:
        """Wait until a score of each machine arrives after a time; return when."""

        def all_scored() -> bool:
            topics = [self.topic(machine, "score") for machine in self.machines]
            return all(self.proxy.scores.get(topic, (0.0,))[0] > since_s for topic in topics)

        return self.proxy.wait_until(all_scored, timeout_s)

    def wait_alarm(self, since_s: float, timeout_s: float = 60.0) -> float | None:
        """Wait for an event of an alarm that is acknowledged after a time; return when."""

        def raised() -> bool:
            for message in reversed(self.proxy.acknowledged):
                if message.at_s < since_s:
                    return False
                if message.topic.endswith("/event") and b'"to":"unacknowledged"' in message.payload:
                    return True
            return False

        return self.proxy.wait_until(raised, timeout_s)

    def wait_retained(self, content: JournalContent, since_s: float, timeout_s: float) -> list[str]:
        """Wait until the alarm of each machine is published as the journal had it, or a later one.

        Return the machines of which it is not.
        """

        def wrong() -> list[str]:
            return [m for m in self.machines if not self._is_retained(content, m, since_s)]

        self.proxy.wait_until(lambda: not wrong(), timeout_s)
        return wrong()

    def _is_retained(self, content: JournalContent, machine: str, since_s: float) -> bool:
        expected = content.newest_alarm(machine)
        for message in self.proxy.since(self.topic(machine, "alarm"), since_s):
            document = message.document
            if expected is None or (document["id"] or "") > expected.id:
                return True
            if (document["id"], document["active"]) == (expected.id, expected.active):
                return True
        return False

    def read_journal(self) -> JournalContent:
        """Read the journal while no daemon runs, and add it to the audit."""
        content = read_content(self.state)
        self.audit.read(content)
        return content

    def finish(self, findings: Findings) -> None:
        """Run the daemon on normal sound until every event is acknowledged, and audit all.

        It ends as well where no further one is acknowledged for a while.
        """
        self.read_journal()
        calm = dict.fromkeys(self.machines, f"file:{self.product.calm}?loop")
        run = self.start(devices=calm, speed=1.0)
        self.wait_evaluated(run.started_s, _DELIVERY_S)
        known, number = set(self.audit.events), -1
        while not known <= self.event_ids() and len(self.event_ids()) > number:
            number = len(self.event_ids())
            self.proxy.wait_until(lambda: known <= self.event_ids(), _DELIVERY_S)
        self.stop(run, findings)
        self.read_journal()
        self.measure_events(findings)

    def stop(self, run: ChaosProcess, findings: Findings) -> None:
        """Stop a daemon by SIGTERM, which it must obey, and require a log without a traceback."""
        self.count_loss(run, findings)
        findings.require("Traceback" not in run.log, f"traceback in {run.log_path}")
        run.send(signal.SIGTERM)
        findings.require(run.wait() == 0, f"the daemon does not stop: {run.log[-300:]}")
        run.kill()

    def count_loss(self, run: ChaosProcess, findings: Findings) -> None:
        """Add what the newest run has counted as lost, if on recordings; of these nothing is."""
        if not self._on_recordings:
            return
        scores = [self.newest_score(machine) for machine in self.machines]
        counted = [score["lost_samples"] for at_s, score in scores if at_s > run.started_s]
        if counted:
            findings.add_loss(SampleLoss(sum(counted), 0))
            findings.require(not sum(counted), f"{sum(counted)} samples of recordings are lost")

    def count_events(self, findings: Findings) -> list[JournalEvent]:
        """Add the events of this box; return those of the journal that none has acknowledged."""
        events = self.events()
        missing = self.audit.missing(events)
        findings.add_events(len(missing), equal_ids(events), self.audit.other_ids(events))
        return missing

    def measure_events(self, findings: Findings) -> None:
        """Compare the journals read so far with what the broker has acknowledged."""
        missing = self.count_events(findings)
        findings.problems += self.audit.check(self.events())
        findings.require(self.audit.events, "the journal has no event")
        if missing:
            findings.problems.append(f"{len(missing)} events lost, such as {missing[0]}")


def until(condition: Callable[[], object], timeout_s: float, *, poll_s: float = 0.02) -> float:
    """Return when a condition holds that has no event, such as the content of a log.

    Raises:
        OperationError: It does not within the timeout.

    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise OperationError(f"not reached within {timeout_s:g} s: {condition}")
        time.sleep(poll_s)
    return time.monotonic()
