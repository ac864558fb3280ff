"""`asd-monitor doctor`: what is wrong with this installation, and the remedies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import (
    AsJson,
    Broker,
    OptionalDevice,
    OptionalMachine,
    OptionalModelsDir,
    OptionalStateDir,
    default_models_dir,
    default_state_dir,
)
from asd_monitor.cli.run import ConfigFile
from asd_monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asd_monitor.diagnosis.findings import Finding
    from asd_monitor.diagnosis.subject import ConfigurationRead, Subject

BundleFile = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FILE.tar.gz",
        help="Also write a support file, without secrets, sound or evidence.",
        show_default=False,
        readable=False,
    ),
]


def command(
    *,
    config: ConfigFile = None,
    device: OptionalDevice = None,
    machine: OptionalMachine = None,
    broker: Broker = None,
    models: OptionalModelsDir = None,
    state: OptionalStateDir = None,
    bundle: BundleFile = None,
    as_json: AsJson = False,
) -> None:
    """Examine configuration, sound, models, broker, clock, disk, load, versions and service.

    Each finding has its remedy.  It takes some seconds for each machine, and may be run beside the
    daemon.  The exit code is 1 where a check has failed.
    """
    from asd_monitor.diagnosis.examination import Examination
    from asd_monitor.diagnosis.findings import Result, worst

    subject = _subject(
        config=config, device=device, machine=machine, broker=broker, models=models, state=state
    )
    if bundle is not None:
        from asd_monitor.diagnosis.support_file import check_target

        check_target(bundle)
    findings = []
    for finding in Examination(subject).run():
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        _print_json(findings)
    else:
        _print_summary(findings)
    if bundle is not None:
        _write_support_file(bundle, subject, findings)
    if worst(findings) is Result.FAILED:
        raise typer.Exit(1)


def _subject(
    *,
    config: Path | None,
    device: str | None,
    machine: str | None,
    broker: str | None,
    models: Path | None,
    state: Path | None,
) -> Subject:
    from asd_monitor.cli.service_folders import service_state
    from asd_monitor.diagnosis.subject import Subject, unit_of

    service = None
    if config is not None:
        given = {"--device": device, "--machine": machine, "--broker": broker}
        mixed = [option for option, value in given.items() if value is not None]
        if mixed:
            raise UsageError(
                f"{' and '.join(mixed)} cannot be combined with --config: set it in {config}"
            )
        read = _read_file(config)
        service = service_state(config)
    else:
        read = _read_options(device, machine, broker)
    if service is not None:
        return Subject(read, models or service / "models", state or service, unit=unit_of(config))
    return Subject(read, models or default_models_dir(), state or default_state_dir())


def _read_file(path: Path) -> ConfigurationRead:
    from asd_monitor.cli.configuration import read_for_run
    from asd_monitor.cli.service_folders import service_environment
    from asd_monitor.config.loading import ConfigError
    from asd_monitor.diagnosis.config_files import with_service_credentials
    from asd_monitor.diagnosis.subject import ConfigurationRead

    try:
        file = read_for_run(path, environ=service_environment(path))
    except ConfigError as error:
        return ConfigurationRead(path, None, errors=error.problems)
    config = with_service_credentials(file.config, path)
    return ConfigurationRead(path, config, notices=file.notices)


def _read_options(device: str | None, machine: str | None, broker: str | None) -> ConfigurationRead:
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.cli.run import parse_broker
    from asd_monitor.config.loading import machine_from_options
    from asd_monitor.diagnosis.subject import ConfigurationRead

    if (device is None) != (machine is None):
        raise UsageError("give both --device D and --machine M, or --config FILE")
    if device is None or machine is None:
        from asd_monitor.cli.known_places import configuration_hint, known_configurations

        known = configuration_hint(known_configurations())
        return ConfigurationRead(None, None, remedy=None if known is None else f"add {known}")
    mqtt = parse_broker(broker)
    return ConfigurationRead(
        None, machine_from_options(device, machine, check_device=parse_device, mqtt=mqtt)
    )


def _print(finding: Finding) -> None:
    from asd_monitor.wording import printable

    result = finding.result.replace("_", " ")
    typer.echo(
        printable(
            f"{result:<11}  {finding.area:<13}  {finding.check}: {finding.where}: {finding.what}"
        )
    )
    if finding.remedy is not None:
        typer.echo(f"{'':<28}remedy: {printable(finding.remedy)}")


def _print_summary(findings: Sequence[Finding]) -> None:
    from asd_monitor.diagnosis.findings import Result

    counts = {
        result: sum(each.result is result for each in findings)
        for result in (Result.FAILED, Result.WARNING, Result.NOT_CHECKED, Result.OK)
    }
    parts = [f"{number} {result.replace('_', ' ')}" for result, number in counts.items()]
    typer.echo(f"{len(findings)} checks: {', '.join(parts)}")


def _print_json(findings: Sequence[Finding]) -> None:
    from datetime import UTC, datetime

    from asd_monitor.cli.json_lines import json_text
    from asd_monitor.diagnosis.report import report_of

    typer.echo(json_text(report_of(findings, datetime.now(UTC))))


def _write_support_file(path: Path, subject: Subject, findings: Sequence[Finding]) -> None:
    from datetime import UTC, datetime

    from asd_monitor.diagnosis.support_file import write_support_file

    names = write_support_file(path, subject, findings, datetime.now(UTC))
    typer.echo(
        f"{path}: written, with {', '.join(names)}.  It holds no sound, no evidence and none of "
        "the secrets that this user may read; look through it before you send it.",
        err=True,
    )
