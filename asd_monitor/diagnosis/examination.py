"""The examination: collects the facts of all areas and makes the findings, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from asd_monitor.daemon.state_lock import is_in_use
from asd_monitor.diagnosis.broker import BrokerExamination
from asd_monitor.diagnosis.capture_trial import try_device
from asd_monitor.diagnosis.clock import check_clock, read_clock
from asd_monitor.diagnosis.config_files import read_config_files
from asd_monitor.diagnosis.configuration import check_configuration
from asd_monitor.diagnosis.disk import check_disk
from asd_monitor.diagnosis.disk_reading import ANSWER_S, answers, read_state_folder
from asd_monitor.diagnosis.findings import Area, Check, Finding
from asd_monitor.diagnosis.load import check_load
from asd_monitor.diagnosis.load_reading import read_load
from asd_monitor.diagnosis.models import ModelFacts, check_models, read_models
from asd_monitor.diagnosis.presence import list_inputs_now
from asd_monitor.diagnosis.service import ServiceFacts, check_service
from asd_monitor.diagnosis.service_reading import read_service
from asd_monitor.diagnosis.sound import SoundFacts, check_sound, rates_of
from asd_monitor.diagnosis.sound_reading import SoundReader, TryDevice
from asd_monitor.diagnosis.subject import Subject
from asd_monitor.diagnosis.versions import check_versions
from asd_monitor.diagnosis.versions_reading import read_versions
from asd_monitor.encoders.runtime import Runtime

_PORTAUDIO = "PortAudio"


@dataclass(frozen=True, slots=True)
class Examination:
    """Examines one installation.

    Args:
        subject: what is examined.
        now: returns the time, with time zone.
        try_device: captures some seconds.
        read_unit: returns what systemd knows of a unit.
        answers: returns whether the disk of a folder answers in time.

    """

    subject: Subject
    now: Callable[[], datetime] = field(default=partial(datetime.now, UTC))
    try_device: TryDevice = try_device
    read_unit: Callable[[str], ServiceFacts | None] = read_service
    answers: Callable[[Path], bool] = answers

    def run(self) -> Iterator[Finding]:
        """Yield the findings, area by area; takes some seconds for each machine."""
        subject = self.subject
        unit = subject.unit
        service = None if unit is None else self.read_unit(unit)
        files = read_config_files(subject.read)
        yield from check_configuration(subject.read, files, is_service=unit is not None)
        hanging = [each for each in {subject.state, subject.models} if not self.answers(each)]
        if hanging:
            yield from self._without_disk(hanging, service)
            return
        sound = self._sound(service)
        yield from check_sound(sound)
        models = self._models(sound)
        yield from check_models(models, self.now())
        yield from self._broker(partial(self._daemon_runs, service))
        yield from check_clock(read_clock(subject.state))
        yield from check_disk(read_state_folder(subject.state), is_service=unit is not None)
        yield from self._load(models, service)
        portaudio = next((each for each in sound.problems if _PORTAUDIO in each), None)
        program = None if service is None else service.program
        yield from check_versions(
            read_versions(
                subject.state,
                portaudio_problem=portaudio,
                needs_portaudio=sound.needs_inputs,
                service_program=program,
            )
        )
        yield from self._service(service)

    def _without_disk(self, hanging: list[Path], service: ServiceFacts | None) -> Iterator[Finding]:
        """Yield what can be found where folders do not answer: reading them would wait for ever."""
        for folder in sorted(hanging):
            yield Check(Area.DISK, "answer", str(folder)).failed(
                f"its disk does not answer within {ANSWER_S:g} s: sound, models, clock, load and "
                "versions are not checked",
                "look at `dmesg`, and at the cable or the network of the disk",
            )
        yield from self._broker(lambda: True)  # it is not known: what is retained is left alone
        yield from self._service(service)

    def _daemon_runs(self, service: ServiceFacts | None) -> bool:
        """Return whether a daemon runs; another user may not see that of a state folder."""
        return is_in_use(self.subject.state) or (service is not None and service.is_active)

    def _sound(self, service: ServiceFacts | None) -> SoundFacts:
        config = self.subject.config
        reader = SoundReader(
            self.subject.state,
            service,
            daemon_runs=self._daemon_runs(service),
            try_device=self.try_device,
            list_inputs=list_inputs_now,
            root=self.subject.root,
        )
        return reader.read({} if config is None else config.machines)

    def _models(self, sound: SoundFacts) -> list[ModelFacts]:
        config = self.subject.config
        if config is None:
            return []
        runtime = Runtime(config.inference.provider, config.inference.threads)
        return read_models(self.subject.models, config.machines, rates_of(sound.devices), runtime)

    def _broker(self, daemon_runs: Callable[[], bool]) -> Iterator[Finding]:
        config = self.subject.config
        if config is None:
            yield Check(Area.BROKER, "connection", "mqtt").not_checked(
                "without a valid configuration the broker is unknown"
            )
            return
        yield from BrokerExamination(config, daemon_runs, self.now).run()

    def _load(self, models: list[ModelFacts], service: ServiceFacts | None) -> Iterator[Finding]:
        config = self.subject.config
        detectors = [each.bundle.detector for each in models if each.bundle is not None]
        facts = read_load(
            detectors,
            0 if config is None else len(config.machines),
            pid=None if service is None else service.pid,
            root=self.subject.root,
        )
        yield from check_load(facts)

    def _service(self, service: ServiceFacts | None) -> Iterator[Finding]:
        unit = self.subject.unit
        if service is not None:
            yield from check_service(service)
        elif unit is not None:
            yield Check(Area.SERVICE, "unit", unit).not_checked(
                "systemd does not answer", "run doctor on the computer itself, not in a container"
            )
        else:
            yield Check(Area.SERVICE, "unit", "asd-monitor@NAME").not_checked(
                "no service reads this configuration",
                "give --config /etc/asd-monitor/NAME.yaml for a service",
            )
