"""The steps of `setup`, in order, and what is there where it is ended early."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.cli.run import parse_broker
from asd_monitor.cli.setup_answers import (
    Answers,
    broker_text,
    budget_text,
    existing_password_file,
    minutes_from,
)
from asd_monitor.cli.setup_dialogue import Dialogue, InputEndedError
from asd_monitor.cli.setup_files import (
    PreparedConfiguration,
    changing,
    check_machine,
    give_to_service,
    install_password,
    prepare_configuration,
    write_configuration,
)
from asd_monitor.cli.setup_microphone import choose_microphone
from asd_monitor.cli.setup_next import privilege, report_next
from asd_monitor.cli.setup_places import places_of
from asd_monitor.cli.setup_service import ServiceStep
from asd_monitor.config.field_types import MIN_TRAINING_S
from asd_monitor.errors import AsdMonitorError, OperationError, UsageError
from asd_monitor.guided_setup.configuration_edit import (
    DEFAULT_BUDGET,
    BrokerEntry,
    MachineEntry,
)
from asd_monitor.guided_setup.service_unit import ServiceFolders
from asd_monitor.names import check_id
from asd_monitor.wording import printable

if TYPE_CHECKING:
    from asd_monitor.cli.setup_recording import NormalSound
    from asd_monitor.config.settings import Config

_NO_USER = "-"


class GuidedSetup:
    """One run of `setup`."""

    def __init__(
        self, answers: Answers, dialogue: Dialogue, folders: ServiceFolders | None = None
    ) -> None:
        self._answers = answers
        self._dialogue = dialogue
        self._places = places_of(answers, folders or ServiceFolders(), is_root=os.geteuid() == 0)
        self._recordings: Path | None = None  # the folder in which recording has begun
        self._made: list[str] = []  # what else exists already

    def run(self) -> None:
        """Take all steps.

        Raises:
            typer.Exit: with 130, where it is interrupted.
            AsdMonitorError: a step failed, or the service does not monitor the machine.

        """
        try:
            with _interrupted_by(signal.SIGTERM, signal.SIGHUP):
                problem = self._run()
        except (KeyboardInterrupt, InputEndedError) as error:
            self._report_end("interrupted")
            raise typer.Exit(130) from error
        except AsdMonitorError:
            if self._kept:
                self._report_end("not finished")
            raise
        if problem is not None:
            raise OperationError(problem)

    def _run(self) -> str | None:
        dialogue = self._dialogue
        dialogue.step("1 of 5: the microphone")
        device = _absolute(choose_microphone(self._answers.device, dialogue))
        self._answers = replace(self._answers, device=str(device))
        dialogue.step("2 of 5: machine and broker")
        machine = self._ask_machine(device)
        prepared = self._prepare(device, machine)
        prepared = self._try_broker(device, machine, prepared)
        dialogue.step("3 of 5: the normal sound")
        sound = self._sound(device, machine)
        dialogue.step("4 of 5: the model")
        self._train(device, machine, sound, prepared)
        dialogue.step("5 of 5: configuration and service")
        self._write(device, machine)
        return self._serve(device, machine, prepared)

    def _serve(
        self, device: DeviceSpec, machine: str, prepared: PreparedConfiguration
    ) -> str | None:
        """Start the service where it is wanted, and say how to go on.

        Returns why the machine is not monitored by the service; None: it is, or there is none.
        """
        answers, places, config = self._answers, self._places, prepared.config
        step = ServiceStep(answers, self._entry(device, machine), places, self._dialogue)
        if not step.is_wanted(device, prepared):
            if places.is_of_service:  # `run` would look into the user's folders
                answers = replace(answers, models=places.models, state=places.state)
            report_next(answers, places.config, config, None)
            return None
        from asd_monitor.cli.setup_monitored import (
            Awaited,
            FirstWindow,
            broker_read,
            outcome_text,
        )

        awaited = Awaited(machine, places.service, self._model_in_use(machine))
        with broker_read(self._with_secrets(config), machine) as client:
            step.start()
            outcome = FirstWindow(awaited, config, client).wait(self._dialogue)
        report_next(answers, places.config, config, places.service)
        text = outcome_text(outcome, awaited, privilege())
        if not outcome.is_failure:
            typer.echo(text)
            return None
        return text

    def _model_in_use(self, machine: str) -> str | None:
        from asd_monitor.model_store.versions import BundleError, current_version

        try:
            current = current_version(self._places.models, machine)
        except BundleError:  # the state of the machine says why
            return None
        return None if current is None else current.name

    def _ask_machine(self, device: DeviceSpec) -> str:
        def free_id(text: str) -> str:
            machine = check_id(text)
            check_machine(self._places.config, MachineEntry(machine, str(device)))
            return machine

        machine = self._answers.machine
        if machine is None:
            machine = self._dialogue.ask("Id of the machine, such as fan01:", None, free_id)
            self._answers = replace(self._answers, machine=machine)
        return machine

    def _prepare(self, device: DeviceSpec, machine: str) -> PreparedConfiguration:
        """Return the configuration as it will be written; ask for what it needs."""
        dialogue, path = self._dialogue, self._places.config
        if path.exists():
            dialogue.say(f"{printable(path)} exists: the machine is added, the rest stays.")
        elif self._answers.broker is None:
            self._ask_broker("localhost:1883")
        if self._answers.false_alarms is None:
            budget = dialogue.ask("False alarms that you accept:", DEFAULT_BUDGET, budget_text)
            self._answers = replace(self._answers, false_alarms=budget)
        own = self._broker_entry()
        prepared = prepare_configuration(path, self._entry(device, machine), own)
        kept = prepared.config.mqtt
        if self._answers.broker is not None and (own.host, own.port) != (kept.host, kept.port):
            dialogue.warn(
                f"--broker is not applied: {printable(path)} has the broker {kept.address}; to "
                "change it, edit `mqtt` there"
            )
        return prepared

    def _ask_broker(self, default: str) -> None:
        """Ask for the address, and for the user where options have not named one."""
        self._ask_address(default)
        if self._answers.username is None and self._dialogue.interactive:
            self._ask_user()

    def _ask_address(self, default: str) -> None:
        broker = self._dialogue.ask("MQTT broker, HOST or HOST:PORT:", default, broker_text)
        self._answers = replace(self._answers, broker=broker)

    def _ask_user(self) -> None:
        """Ask for the user and the file with the password; those of before are the defaults."""
        before, file = self._answers.username, self._answers.password_file
        none = "empty" if before is None else _NO_USER
        named = self._dialogue.ask(f"User of the broker ({none}: none):", before or "", str)
        if named in {"", _NO_USER}:
            self._answers = replace(self._answers, username=None, password_file=None)
            return
        default = None if file is None else str(file)
        file = self._dialogue.ask("File with the password:", default, existing_password_file)
        self._answers = replace(self._answers, username=named, password_file=file)

    def _entry(self, device: DeviceSpec, machine: str) -> MachineEntry:
        return MachineEntry(machine, str(device), self._answers.false_alarms or DEFAULT_BUDGET)

    def _broker_entry(self) -> BrokerEntry:
        mqtt = parse_broker(self._answers.broker)
        file = self._answers.password_file
        if file is not None and self._answers.username is None:
            raise UsageError("--password-file without --username: add it")
        is_credential = self._places.is_of_service and file is not None  # systemd passes it on
        return BrokerEntry(
            mqtt.host,
            mqtt.port,
            self._answers.username,
            None if file is None or is_credential else str(file),
        )

    def _try_broker(
        self, device: DeviceSpec, machine: str, prepared: PreparedConfiguration
    ) -> PreparedConfiguration:
        """Try the broker until it accepts this box; return the configuration with the last one."""
        from asd_monitor.cli.setup_broker import why_not_connected

        dialogue = self._dialogue
        while True:
            config = prepared.config
            reason = why_not_connected(self._with_secrets(config))
            if reason is None:
                dialogue.success(f"the broker {config.mqtt.address} accepts this box")
                return prepared
            dialogue.warn(f"the broker cannot be used now: {reason}")
            if not dialogue.interactive or not dialogue.confirm("Try again?", default=False):
                dialogue.say(
                    "Set up goes on without it; the daemon tries to connect for ever.  To correct "
                    f"it later, edit `mqtt` in {printable(self._places.config)}."
                )
                return prepared
            if prepared.is_new:  # else it is that of the file, which is read again
                self._ask_address(self._answers.broker or config.mqtt.address)
                self._ask_user()
            prepared = prepare_configuration(
                self._places.config, self._entry(device, machine), self._broker_entry()
            )

    def _with_secrets(self, config: Config) -> Config:
        """Return the configuration with the secrets that a service gets from systemd."""
        from asd_monitor.diagnosis.config_files import with_service_credentials

        file = self._answers.password_file
        if file is None:
            return with_service_credentials(config, self._places.config)
        mqtt = config.mqtt.model_copy(update={"password_file": file})
        return config.model_copy(update={"mqtt": mqtt})

    def _sound(self, device: DeviceSpec, machine: str) -> NormalSound:
        from asd_monitor.cli.setup_recording import record, recording_of
        from asd_monitor.guided_setup.coverage import coverage_text, recording_text

        dialogue = self._dialogue
        if device.is_file:
            sound = recording_of(device)
            dialogue.say(recording_text(sound.coverage))
            return sound
        folder = self._answers.recordings or self._places.recordings(machine)
        dialogue.say(
            "Let the machine do all that is normal: every speed and load.  If it is ever off, "
            "switch it off for a minute.  Ctrl-C keeps what was recorded."
        )
        target_s = self._answers.target_s
        while True:
            self._recordings = folder
            sound = record(
                device,
                machine,
                folder,
                target_s=target_s,
                state=self._places.state,
                dialogue=dialogue,
            )
            dialogue.success(coverage_text(sound.coverage, target_s))
            more_min = dialogue.ask("Record more? Minutes:", "0", minutes_from)
            if not more_min:
                return sound
            target_s = sound.seconds + 60 * more_min

    def _train(
        self, device: DeviceSpec, machine: str, sound: NormalSound, prepared: PreparedConfiguration
    ) -> None:
        from asd_monitor.cli.setup_training import train
        from asd_monitor.model_store.versions import current_version, versions

        dialogue, models = self._dialogue, self._places.models
        if versions(models, machine):
            current = current_version(models, machine)
            version = "not in use" if current is None else current.name
            if not dialogue.confirm(
                f"{machine} has a model already ({version}).  Train a new version?", default=False
            ):
                dialogue.success(f"the model of {machine} stays: {version}")
                return
        if sound.seconds < MIN_TRAINING_S:
            more = "give longer ones" if device.is_file else "run setup again to record more"
            raise OperationError(
                f"{sound.seconds:.0f} s of sound are too little: a model needs "
                f"{MIN_TRAINING_S:.0f} s, better ten minutes: {more}"
            )
        channel = device.channel if device.is_file else None
        settings = prepared.config.machines[machine]
        trained = train(machine, sound.paths, settings, models, channel=channel, dialogue=dialogue)
        self._made.append(f"model {machine} {trained} in {printable(models)}")

    def _write(self, device: DeviceSpec, machine: str) -> None:
        dialogue, places = self._dialogue, self._places
        with changing(places.config):
            prepared = prepare_configuration(
                places.config, self._entry(device, machine), self._broker_entry()
            )
            if places.is_of_service and self._answers.password_file is not None:
                install_password(places.folders, places.instance, self._answers.password_file)
            backup = write_configuration(prepared)
        if places.is_of_service:  # which may run already, and read its models at any time
            give_to_service(places.folders, places.instance)
        path = printable(prepared.path)
        if not prepared.is_changed:
            dialogue.success(f"{path} has the machine already")
        elif backup is None:
            dialogue.success(f"wrote {path}")
        else:
            dialogue.success(f"added {machine} to {path}; as it was: {printable(backup)}")
        self._made.append(f"configuration {path}")

    @property
    def _kept(self) -> list[str]:
        """What exists now, and is not made again by another setup."""
        folder = self._recordings
        if folder is None or not any(folder.glob("*.flac")):
            return self._made
        return [f"recordings in {printable(folder)}", *self._made]

    def _report_end(self, how: str) -> None:
        dialogue = self._dialogue
        dialogue.console.print()
        if not self._kept:
            dialogue.say(f"setup {how}: nothing was written")
            return
        dialogue.say(f"setup {how}; kept: {'; '.join(self._kept)}.  To go on:")
        dialogue.command(f"{privilege()}asd-monitor {self._answers.command(self._places.config)}")


@contextmanager
def _interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals end the block as Ctrl-C does, so that it leaves the terminal as it was."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler == signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _absolute(device: DeviceSpec) -> DeviceSpec:
    """Return the device as any working folder names it."""
    return replace(device, name=str(device.path.absolute())) if device.is_file else device
