"""`asd-monitor backtest`: the alarms that recordings would have raised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson, Channel, Machine, ModelsDir, ModelVersion, config_option

if TYPE_CHECKING:
    from asd_monitor.config.machine_settings import AlarmSettings
    from asd_monitor.evaluation.replay import Backtest


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="Recording, or folder of recordings.",
            show_default=False,
            readable=False,
        ),
    ],
    *,
    machine: Machine,
    models: ModelsDir,
    config: Annotated[
        Path | None,
        config_option("Configuration file with this machine's alarm settings."),
    ] = None,
    version: ModelVersion = None,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            metavar="RATE", help="Accepted rate of false alarms.", show_default="1 per month"
        ),
    ] = None,
    warnings: Annotated[
        str | None,
        typer.Option(
            metavar="RATE", help="Accepted rate of false warnings.", show_default="1 per day"
        ),
    ] = None,
    channel: Channel = None,
    latch: Annotated[
        bool | None,
        typer.Option(
            "--latch/--no-latch",
            help="Hold each alarm to the end, as if not acknowledged.",
            show_default="--latch",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Process recordings by the pipeline and the alarm rule of `run`, and list the alarms."""
    import asyncio

    from asd_monitor.alarm.budget import alarm_rule
    from asd_monitor.alarm.supported_budget import effective_budget, provisional_text
    from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
    from asd_monitor.audio.files.file_source import FileSource
    from asd_monitor.audio.files.recordings import BY_OPTION
    from asd_monitor.audio.files.recordings_check import check_recordings
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.cli.machine_settings import machine_settings, with_options
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.evaluation.replay import backtest
    from asd_monitor.model_store.bundle import load_bundle

    configured = machine_settings(machine, config)
    settings = with_options(
        configured.alarm, false_alarms=false_alarms, warnings=warnings, latch=latch
    )
    criteria = configured.model_copy(update={"alarm": settings}).alarm_criteria
    check_machine(models, machine)
    bundle = load_bundle(models, machine, version)
    detector = bundle.detector
    rule = alarm_rule(criteria, detector)
    budget = effective_budget(criteria, detector.hours)
    effective = budget.false_alarms if budget.provisional else str(settings.false_alarms)
    recordings = check_recordings(path, channel)
    for error in recordings.errors:
        typer.echo(f"notice: skipped: {error}", err=True)
    spec = DeviceSpec(DeviceKind.FILE, str(path.absolute()), channel=channel)
    source = FileSource(
        spec,
        speed=0,
        notice=lambda text: typer.echo(f"notice: {text}", err=True),
        other=BY_OPTION,
    )
    total_s = max(recordings.seconds, 1e-9)
    with shown_progress() as progress:
        result = asyncio.run(
            backtest(
                source,
                detector,
                rule,
                path,
                lambda done_s: progress("scoring", min(1.0, done_s / total_s)),
            )
        )
    if as_json:
        document = _as_json(machine, settings, result)
        document["thresholds"] = {
            "warning": rule.thresholds.warning,
            "alarm": rule.thresholds.alarm,
        }
        document["effective_budget"] = effective
        document["provisional"] = budget.provisional
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        if budget.provisional:
            commissioning = bundle.commissioning(configured.commissioning.days)
            text = provisional_text(budget, str(settings.false_alarms), commissioning)
            typer.echo(f"notice: {text}", err=True)
        _print(machine, settings, result, effective)


def _as_json(machine: str, settings: AlarmSettings, result: Backtest) -> dict[str, object]:
    return {
        "machine": machine,
        "seconds": round(result.seconds, 3),
        "alarms": [alarm.to_json() for alarm in result.alarms],
        "states": [
            {"from_s": round(span.from_s, 3), "state": span.state} for span in result.states
        ],
        "budget": str(settings.false_alarms),
        "microphone": [
            {"from_s": round(span.from_s, 3), "microphone": span.state}
            for span in result.microphone
        ],
        "evaluated_s": round(result.evaluated_s, 3),
        "alarms_per_day": None
        if result.alarms_per_day is None
        else round(result.alarms_per_day, 4),
        "time_to_alarm_s": None
        if result.time_to_alarm_s is None
        else round(result.time_to_alarm_s, 3),
        "highest_alarm_score": round(result.highest, 4),
    }


def _print(machine: str, settings: AlarmSettings, result: Backtest, effective: str) -> None:
    from rich.table import Table

    from asd_monitor.cli.console import result_console
    from asd_monitor.wording import clock, count, named_period

    console = result_console()
    number = len(result.alarms)
    alarms = count(number, "alarm") if number else "no alarm"
    configured = str(settings.false_alarms)
    provisional = f", provisional (configured: {configured})" if effective != configured else ""
    evaluated = f"{clock(result.evaluated_s)} evaluated of " if result.no_signal_spans else ""
    console.print(
        f"{machine}: {alarms} in {evaluated}{clock(result.seconds)} of sound, "
        f"budget {effective}{provisional}; highest alarm score {result.highest:.2f}",
        highlight=False,
    )
    if result.alarms:
        table = Table(
            "alarm", "raised at", "cleared at", "peak alarm score", "time scale", title=None
        )
        for alarm in result.alarms:
            cleared = "active" if alarm.cleared_s is None else clock(alarm.cleared_s)
            table.add_row(
                str(alarm.number),
                clock(alarm.raised_s),
                cleared,
                f"{alarm.peak_alarm_score:.2f}",
                "" if alarm.time_scale_s is None else named_period(alarm.time_scale_s),
            )
        console.print(table)
        if settings.latch:
            console.print(
                "A latched alarm stays active, since a backtest has no acknowledgement; with "
                "--no-latch alarms clear, and each new one is counted.",
                highlight=False,
            )
    elif result.alarms_per_day is not None:
        console.print(f"{result.alarms_per_day:.3g} alarms per day.", highlight=False)
    if result.no_signal_spans:
        missing = clock(result.seconds - result.evaluated_s)
        console.print(
            f"{missing} of {clock(result.seconds)} were not evaluated: a fault of the microphone.",
            highlight=False,
        )
    for begin, end in result.no_signal_spans:
        until = "the end" if end == result.seconds else clock(end)
        console.print(
            f"No usable signal from {clock(begin)} to {until}.",
            highlight=False,
        )
    states = Table("state", f"share of {clock(result.evaluated_s)} evaluated")
    for state in sorted({span.state for span in result.states}):
        if (seconds := result.seconds_in(state)) > 0:
            states.add_row(state, f"{100 * seconds / result.evaluated_s:.1f} %")
    console.print(states)
