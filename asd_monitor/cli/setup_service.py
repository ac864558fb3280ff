"""The step of `setup` that starts the service, or says how a service is made of what it wrote."""

from __future__ import annotations

from dataclasses import dataclass, replace

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.cli.setup_answers import Answers
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.setup_files import (
    PreparedConfiguration,
    first_configuration,
    install_service,
    this_program,
)
from asd_monitor.cli.setup_places import SetupPlaces
from asd_monitor.config.settings import Config
from asd_monitor.errors import OperationError
from asd_monitor.guided_setup.configuration_edit import BrokerEntry, MachineEntry
from asd_monitor.guided_setup.service_unit import obstacle
from asd_monitor.wording import printable


@dataclass(frozen=True, slots=True)
class ServiceStep:
    """Decides whether the configuration gets a service, and starts or describes it.

    Args:
        answers: with device and machine.
        entry: of the machine in the configuration.

    """

    answers: Answers
    entry: MachineEntry
    places: SetupPlaces
    dialogue: Dialogue

    def is_wanted(self, device: DeviceSpec, prepared: PreparedConfiguration) -> bool:
        """Return whether the service is to be started; where it is not, say how it could be.

        Raises:
            OperationError: it is wanted and cannot be.

        """
        dialogue, places, wanted = self.dialogue, self.places, self.answers.service
        program = this_program()
        can_serve = places.is_root and places.folders.has_systemd and places.is_of_service
        reason = obstacle(program, device) or self._other_folders()
        if wanted is False:
            return False
        if wanted is None and can_serve and reason is None:
            question = f"Start it as the service {places.service}, now and at boot?"
            return dialogue.confirm(question, default=dialogue.interactive)
        if can_serve and wanted and reason is None:
            return True
        if reason is not None:
            dialogue.warn(f"not a service yet: {reason}")
        elif places.folders.has_systemd:
            dialogue.say("As a service, started at boot:")
            dialogue.command(f"sudo {program} {self._command(prepared.config)}")
            if prepared.text != self._alone(prepared.config):
                dialogue.say(
                    "That file gets this machine, and address and user of the broker: add what "
                    f"else is in {printable(places.config)}."
                )
        if wanted:
            raise OperationError(reason or "--service: run it as root, where systemd runs")
        return False

    def start(self) -> None:
        """Install, start or reload the service.  Raises `OperationError`."""
        for done in install_service(self.places.folders, self.places.instance, this_program()):
            self.dialogue.success(done)

    def _other_folders(self) -> str | None:
        """Return why the service would not find what was written; None: it does."""
        answers, places = self.answers, self.places
        if places.is_of_service and (answers.models or answers.state):
            own = places.folders.state(places.instance)
            return f"the service uses {own} only: omit --models and --state"
        return None

    def _alone(self, config: Config) -> str:
        """Return the text of a configuration of the machine and the broker alone."""
        mqtt, file = config.mqtt, config.mqtt.password_file
        broker = BrokerEntry(
            mqtt.host, mqtt.port, mqtt.username, None if file is None else str(file)
        )
        return first_configuration(broker, self.entry)

    def _command(self, config: Config) -> str:
        """Return the command that makes a service, for root."""
        places, mqtt = self.places, config.mqtt  # which has another one where the file was there
        answers = replace(
            self.answers,
            broker=mqtt.address,
            username=mqtt.username,
            password_file=mqtt.password_file,
            models=None,
            state=None,
            recordings=self.answers.recordings or places.recordings(self.entry.machine),
        )
        target = places.folders.configurations / f"{places.instance}.yaml"
        return f"{answers.command(target)} --service --yes"
