"""The mutations of `experiments.mutations`: small errors that the tests must detect."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """A replacement of one piece of text in one file."""

    name: str
    file: str  # from the root of the repository
    old: str  # occurs exactly once in the file
    new: str
    area: str  # folder or file below tests/ whose fast tests must fail


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "calibration-folds",  # windows that overlap the held-out fold are not left out
        "asd_monitor/detector/fit.py",
        "np.flatnonzero(usual & ~spans.overlapping(held_out))",
        "np.flatnonzero(usual & ~held_out)",
        "detector",
    ),
    Mutation(
        "evidence-few-blocks",  # a variance is estimated from one or two blocks
        "asd_monitor/detector/evidence.py",
        "if shortest or len(values) >= MIN_BLOCKS:",
        "if shortest or len(values) >= 1:",
        "detector",
    ),
    Mutation(
        "evidence-upper-median",  # of blocks with an even number of windows
        "asd_monitor/detector/evidence.py",
        "(counts - 1) // 2",
        "counts // 2",
        "detector",
    ),
    Mutation(
        "budget-at-worst",  # minutes of sound support five hours only
        "asd_monitor/alarm/supported_budget.py",
        "supported = min(LOOSEST_HZ, ",
        "supported = (",
        "alarm",
    ),
    Mutation(
        "trend-of-a-step",  # a step is a trend as well
        "asd_monitor/model_training/level_trend.py",
        "max(MIN_EXPLAINED, _explained_by_step(blocks))",
        "MIN_EXPLAINED",
        "model_training",
    ),
    Mutation(
        "alarm-score-upper-median",  # half of the span suffices
        "asd_monitor/alarm/span_median.py",
        "[max_outliers(self._size)]",
        "[self._size // 2]",
        "alarm",
    ),
    Mutation(
        "alarm-state-dead-band",  # returns to normal below the alarm threshold
        "asd_monitor/alarm/window_level.py",
        "conclusive and score < thresholds.warning",
        "conclusive and score < thresholds.alarm",
        "alarm",
    ),
    Mutation(
        "alarm-state-acknowledgement",  # an acknowledgement ends the off-delay
        "asd_monitor/alarm/state_machine.py",
        "if changes and self._returned:",
        "if changes:",
        "alarm",
    ),
    Mutation(
        "re-alarm-longer-scale",  # the same sound lasting raises an acknowledged alarm again
        "asd_monitor/alarm/re_alarm.py",
        "if longest_s is not None and scale_s > longest_s:",
        "if longest_s is not None and scale_s < 0.0:",
        "alarm/test_alarm_life.py",
    ),
    Mutation(
        "re-alarm-filling",  # a mean that fills with the same sound does
        "asd_monitor/alarm/re_alarm.py",
        "return time_scale_s > STEP_S and since_s < 2.0 * time_scale_s",
        "return False",
        "alarm/test_alarm_worse.py",
    ),
    Mutation(
        "alarm-out-of-service",  # a machine out of service raises alarms
        "asd_monitor/alarm/occurrence.py",
        "condition in NEW_ALARM and not self.in_service:",
        "condition in NEW_ALARM and False:",
        "alarm/test_alarm_life.py",
    ),
    Mutation(
        "request-outcome",  # a kill between change and outcome repeats a request
        "asd_monitor/journal/machine_requests.py",
        "        self._journal.journal.write([*changes[1], outcome])",
        "        self._journal.journal.write(changes[1])\n"
        "        self._journal.journal.write([outcome])",
        "journal/test_journal_request_writing.py",
    ),
    Mutation(
        "backoff-reset",  # every attempt ends the row of failures
        "asd_monitor/backoff.py",
        "if worked_s >= self.reset_after_s:",
        "if worked_s >= 0.0:",
        "test_backoff.py",
    ),
    Mutation(
        "backoff-minimum",  # full jitter goes down to zero
        "asd_monitor/backoff.py",
        "return max(self.minimum_s, self.jitter() * step_s)",
        "return self.jitter() * step_s",
        "test_backoff.py",
    ),
    Mutation(
        "journal-order-of-alarms",  # the oldest alarm is taken for the newest
        "asd_monitor/journal/stored_journal.py",
        '"alarms", "ORDER BY number DESC"',
        '"alarms", "ORDER BY number"',
        "journal",
    ),
    Mutation(
        "journal-order-of-changes",  # the newest unwritten changes are dropped, not the oldest
        "asd_monitor/journal/write_queue.py",
        "sorted(range(len(others)), key",
        "sorted(range(len(others))[::-1], key",
        "journal",
    ),
    Mutation(
        "outbox-order",  # a second event of a machine is sent before the first is acknowledged
        "asd_monitor/publish/event_queues.py",
        "        if len(queue) == 1:\n            self._ready[event.topic] = None\n",
        "        self._ready[event.topic] = None\n",
        "publish/test_publish_send_queue.py",
    ),
    Mutation(
        "outbox-importance",  # a full outbox drops alarms before transitions of the state
        "asd_monitor/journal/outbox_table.py",
        "ORDER BY kind = '{TransitionKind.ALARM}', number",
        "ORDER BY number",
        "journal/test_journal_outbox_bounds.py",
    ),
    Mutation(
        "outbox-historical",  # an event of an earlier run is published as a current one
        "asd_monitor/journal/event_outbox.py",
        "if seq is not None and seq <= earlier.get(waiting.event.machine, 0):",
        "if False:",
        "journal/test_journal_outbox.py",
    ),
    Mutation(
        "event-numbers",  # numbers are published before they are reserved in the file itself
        "asd_monitor/journal/database_file.py",
        "at_once or self._transactions",
        "self._transactions",
        "journal/test_journal_numbers.py",
    ),
    Mutation(
        "journal-overwritten",  # a file that is overwritten within a transaction is adopted
        "asd_monitor/journal/stored_journal.py",
        "            self._file.check()\n",
        "            self._file._watch.note()\n",
        "journal/test_journal_overwritten.py",
    ),
    Mutation(
        "sample-clock-loss",  # a loss that is counted stays in the deficit
        "asd_monitor/audio/capture/sample_clock.py",
        "        self._received += loss\n",
        "",
        "audio/test_audio_sample_clock.py",
    ),
    Mutation(
        "sample-clock-drift",  # a slow device clock is taken for losses
        "asd_monitor/audio/capture/sample_clock.py",
        "self._floor = min(deficit, self._floor + drift)",
        "self._floor = min(deficit, self._floor)",
        "audio/test_audio_sample_clock.py",
    ),
    Mutation(
        "stream-gap-windows",  # windows span gaps
        "asd_monitor/pipeline.py",
        "joins = block.stream is self._source and block.start == self._expected",
        "joins = block.stream is self._source",
        "pipeline",
    ),
    Mutation(
        "stream-gap-delays",  # the delays of the alarm run on through a gap
        "asd_monitor/monitor.py",
        "        if self._evaluated is not None and part.start > self._evaluated:\n"
        "            self._alarm_logic.interrupt()\n",
        "",
        "monitor",
    ),
    Mutation(
        "dc-offset",  # an offset is not removed before the resampler
        "asd_monitor/dsp/signal_conditioning.py",
        "self._resampler.push(self._dc_remover.push(samples))",
        "self._resampler.push(samples)",
        "pipeline",
    ),
    Mutation(
        "dc-steady-state",  # the filter begins with a transient of the drift
        "asd_monitor/dsp/dc_removal.py",
        "self._filter.steady_state(offset - float(self._offset), slope)",
        "(0.0, 0.0)",
        "dsp/test_dsp_dc_removal.py",
    ),
    Mutation(
        "unusable-samples",  # NaN reaches the features
        "asd_monitor/monitor.py",
        "for usable in usable_parts(block) for part",
        "for usable in (block,) for part",
        "pipeline",
    ),
    Mutation(
        "calibration-rounding",  # rounding errors of a constant sound are deviations
        "asd_monitor/detector/calibration.py",
        "logs = np.maximum(distances, MIN_DISTANCE)",
        "logs = np.maximum(distances, 1e-9)",
        "detector",
    ),
    Mutation(
        "calibration-below-median",  # a fused score below the median has the score of one above
        "asd_monitor/detector/calibration.py",
        "np.log(2.0 - np.exp(log_erfc)))",
        "log_erfc)",
        "detector",
    ),
    Mutation(
        "recorded-level-offset",  # an offset is shown as level
        "asd_monitor/audio/files/levels.py",
        "self._measure(self._dc_remover.push(samples))",
        "self._dc_remover.push(samples)\n        self._measure(samples)",
        "audio/test_audio_levels.py",
    ),
    Mutation(
        "alarm-new-run",  # a warning outlives a night of idle
        "asd_monitor/alarm/state_machine.py",
        "        if self.begins_run(at):\n            self._warning = False\n"
        "            self.restart_delays()\n",
        "",
        "alarm",
    ),
    Mutation(
        "state-unavailable",  # the last state goes on while the microphone delivers no sound
        "asd_monitor/daemon/machine_publisher.py",
        "if self.microphone in NO_SIGNAL and self.state is not MachineState.STOPPED:",
        "if self.microphone in ():",
        "daemon/test_daemon_machine_publisher.py",
    ),
    Mutation(
        "refused-retained",  # a refused retained message is forgotten
        "asd_monitor/publish/send_queue.py",
        "self._refused_until_s[topic] = now_s + pause_s",
        "pass",
        "publish/test_publish_send_queue.py",
    ),
    Mutation(
        "left-out-topic",  # only the first of the messages in question is sent alone
        "asd_monitor/publish/suspect_topics.py",
        "if cause not in self._ends:",
        "if self._ends.setdefault(cause, 0) < 0:",
        "publish/test_publish_suspect_topics.py",
    ),
    Mutation(
        "unlisted-reason-code",  # paho ends the connection at PUBACK 0x95
        "asd_monitor/publish/checked_socket.py",
        "        return _UNSPECIFIED_ERROR\n",
        "        return code\n",
        "publish/test_publish_checked_socket.py",
    ),
    Mutation(
        "unrequested-message",  # a message of any size is received
        "asd_monitor/publish/checked_socket.py",
        "if kind not in (_PERMITTED | _TO_REQUESTS if self.requests else _PERMITTED):",
        "if kind == 0:",
        "publish/test_publish_checked_socket.py",
    ),
    Mutation(
        "frame-period",  # durations of encoder training in frames of 10 ms
        "asd_monitor/encoder_training/log_mel_frames.py",
        "return frames * FRONT_END.frame_period_s",
        "return frames / 100",
        "encoder_training/test_encoder_training_sound_sources.py",
    ),
    Mutation(
        "manifest-hash",  # a changed bit of a manifest is not noticed
        "asd_monitor/sealed_json.py",
        "if hashlib.sha256(content[:-_SEAL_BYTES]).hexdigest().encode() != seal[1]:",
        "if not seal[1]:",
        "model_store/test_model_store_damaged_bundle.py",
    ),
    Mutation(
        "model-identity",  # a model trained again under the same name is not loaded
        "asd_monitor/daemon/model_in_use.py",
        "bundle.sha256 == self.bundle.sha256",
        "bundle.version == self.bundle.version",
        "daemon/test_daemon_model_loading.py",
    ),
    Mutation(
        "external-weights",  # a network may read another file
        "asd_monitor/encoders/onnx_graph.py",
        "elif number == 13 or (number == 14 and _number(value)):",
        "elif number == 13 and _number(value):",
        "encoders/test_encoders_strange_networks.py",
    ),
)
