"""``/metrics`` in the text format of Prometheus.

Names and units follow https://prometheus.io/docs/practices/naming/.  The labels are ids of
machines, states, and names of counters: their number is bounded by the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from asd_monitor.publish.messages import MachineStatus, Status
from asd_monitor.records import MachineState, MicrophoneState
from asd_monitor.web.event_stream import EventStreams
from asd_monitor.web.live_state import LiveMachine, LiveState

_SIZES = {("evidence", "bytes"): "Size of the evidence that is stored now."}
"""What is published among the counters and may fall, by component and name."""


class Metrics:
    """Answers with the metrics of now."""

    def __init__(self, live: LiveState, streams: EventStreams) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(live, streams))

    async def show(self, _request: Request) -> Response:
        """Answer with all metrics."""
        return Response(
            generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )


class _Collector(Collector):
    def __init__(self, live: LiveState, streams: EventStreams) -> None:
        self._live = live
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        live = self._live
        yield InfoMetricFamily(
            "asd_build", "The version of asd-monitor.", value={"version": live.setup.version}
        )
        yield _gauge("asd_daemon_up", "Whether the daemon sends to its page.", live.is_fresh)
        if live.beat is not None:
            connected = live.is_fresh and live.beat.broker_connected
            yield _gauge("asd_broker_connected", "Whether the broker is connected.", connected)
        yield _gauge("asd_page_streams", "Open pages that are updated live.", self._streams.count)
        if not live.is_fresh:  # what was last known is not what is
            return
        if live.box_alarm is not None:
            yield _gauge(
                "asd_box_conditions",
                "Conditions of the box itself that need attention.",
                live.box_alarm.count,
            )
        if live.status is not None:
            yield from _box_metrics(live.status)
        yield from _machine_metrics(live.shown())


def _box_metrics(status: Status) -> Iterator[Metric]:
    yield _gauge("asd_uptime_seconds", "Time since the start of the daemon.", status.uptime_s)
    if status.outbox is not None:
        yield _gauge(
            "asd_events_waiting", "Events that wait for the broker.", status.outbox.waiting
        )
    if status.scoring is not None:
        yield _gauge(
            "asd_scoring_busy_ratio", "Share of one core that scores.", status.scoring.busy
        )
        yield _gauge("asd_scoring_backlog_seconds", "Unscored sound.", status.scoring.backlog_s)
    counts = CounterMetricFamily(
        "asd_count",
        "What was counted since the start of the daemon; deploy/README.md says what.",
        labels=("component", "counter"),
    )
    for component, counters in status.counters.items():
        for counter, value in counters.items():
            if (component, counter) not in _SIZES:
                counts.add_metric((component, counter), value)
    yield counts
    for (component, counter), text in _SIZES.items():
        if (size := status.counters.get(component, {}).get(counter)) is not None:
            yield _gauge(f"asd_{component}_{counter}", text, size)
    yield _counter_of_machines(
        "asd_machine_lost_samples", "Samples that were lost.", status.machines, "lost_samples"
    )
    yield _counter_of_machines("asd_machine_gaps", "Gaps in the sound.", status.machines, "gaps")
    yield _counter_of_machines(
        "asd_machine_skipped_windows",
        "Windows skipped under load.",
        status.machines,
        "skipped_windows",
    )


def _machine_metrics(machines: Iterable[LiveMachine]) -> Iterator[Metric]:
    states = _of_machines("asd_machine_state", "1 for the state of the machine.", "state")
    microphones = _of_machines(
        "asd_machine_microphone", "1 for the state of the microphone.", "microphone"
    )
    evaluated = _of_machines("asd_machine_evaluated", "Whether the sound is evaluated.")
    last = _of_machines(
        "asd_machine_last_evaluated_timestamp_seconds", "When the sound was last evaluated."
    )
    score = _of_machines("asd_machine_score", "Score of the newest window.")
    alarm_score = _of_machines("asd_machine_alarm_score", "Alarm score of the newest window.")
    threshold = _of_machines(
        "asd_machine_alarm_threshold", "Alarm score from which on an alarm is raised."
    )
    level = _of_machines("asd_machine_level_dbfs", "Level of the newest window in dBFS.")
    active = _of_machines(
        "asd_machine_alarm_active", "Whether an alarm is active, also where it is hidden."
    )
    hidden = _of_machines(
        "asd_machine_alarm_hidden", "Whether it is shelved, or the machine is out of service."
    )
    waiting = _of_machines(
        "asd_machine_alarm_unacknowledged", "Whether the newest alarm is not acknowledged."
    )
    provisional = _of_machines("asd_machine_model_provisional", "Whether the model is provisional.")
    for machine in machines:
        name, state, alarm = machine.id, machine.state, machine.alarm
        window = machine.recent_window
        if state is not None:
            for each in MachineState:
                states.add_metric((name, each), float(state.state == each))
            for microphone in MicrophoneState:
                microphones.add_metric((name, microphone), float(state.microphone == microphone))
            evaluated.add_metric((name,), float(state.evaluated))
            provisional.add_metric((name,), float(state.provisional))
        if machine.last_evaluated is not None:
            last.add_metric((name,), machine.last_evaluated.timestamp())
        if window is not None and state is not None and state.evaluated:
            _add(score, name, window.score)
            _add(alarm_score, name, window.alarm_score)
            _add(threshold, name, window.thresholds.alarm)
            _add(level, name, window.rms_dbfs)
        if alarm is not None:
            active.add_metric((name,), float(alarm.active))
            is_hidden = alarm.shelved_until is not None or alarm.out_of_service
            hidden.add_metric((name,), float(is_hidden))
            waiting.add_metric((name,), float(alarm.id is not None and not alarm.acknowledged))
    yield from (states, microphones, evaluated, last, score, alarm_score, threshold, level)
    yield from (active, hidden, waiting, provisional)


def _add(family: GaugeMetricFamily, machine: str, value: float | None) -> None:
    if value is not None:
        family.add_metric((machine,), value)


def _of_machines(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=("machine", *labels))


def _counter_of_machines(
    name: str, text: str, machines: Mapping[str, MachineStatus], field: str
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=("machine",))
    for machine, status in machines.items():
        family.add_metric((machine,), getattr(status, field))
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))
