"""`asd-monitor backtest`: what the daemon would have done on recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson, Machine, ModelsDir

if TYPE_CHECKING:
    from asd_monitor.config.settings import AlarmSettings
    from asd_monitor.evaluation.replay import Backtest


def command(
    path: Annotated[
        Path, typer.Argument(help="A recording, or a folder of them in order.", show_default=False)
    ],
    *,
    machine: Machine,
    models: ModelsDir,
    config: Annotated[
        Path | None, typer.Option("--config", help="Take this machine's alarm rule from here.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Model version.", show_default="the current one")
    ] = None,
    false_alarms: Annotated[
        str | None,
        typer.Option(help="False alarms that you accept.", show_default="1 per month"),
    ] = None,
    warnings: Annotated[
        str | None, typer.Option(help="False warnings that you accept.", show_default="1 per day")
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Channel to hear, from 0.", show_default="0")
    ] = None,
    latch: Annotated[
        bool | None,
        typer.Option(
            "--latch/--no-latch",
            help="Hold an alarm until it is acknowledged, which nobody does here.",
            show_default="--latch",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send recordings through the pipeline and the alarm rule of `run`."""
    import asyncio

    from asd_monitor.alarm.budget import rule_for
    from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
    from asd_monitor.audio.files.file_source import FileSource
    from asd_monitor.audio.files.recordings import BY_OPTION
    from asd_monitor.cli.machine_settings import settings_of, with_options
    from asd_monitor.cli.models import check_version
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.cli.recordings_check import look_at_all
    from asd_monitor.evaluation.replay import backtest
    from asd_monitor.model_store.bundle import load_bundle
    from asd_monitor.names import check_id

    check_id(machine)
    check_version(version)
    settings = with_options(
        settings_of(machine, config).alarm,
        false_alarms=false_alarms,
        warnings=warnings,
        latch=latch,
    )
    detector = load_bundle(models, machine, version).detector
    rule = rule_for(settings, detector)
    given = look_at_all(path, channel)
    for error in given.refusals:
        typer.echo(f"notice: left out: {error}", err=True)
    spec = DeviceSpec(DeviceKind.FILE, str(path.absolute()), channel=channel)
    source = FileSource(
        spec,
        speed=0,
        notice=lambda text: typer.echo(f"notice: {text}", err=True),
        other=BY_OPTION,
    )
    with shown_progress() as progress:
        result = asyncio.run(
            backtest(
                source,
                detector,
                rule,
                path,
                lambda heard_s: progress("listening", min(1.0, heard_s / max(given.seconds, 1e-9))),
            )
        )
    if as_json:
        told = _as_json(machine, settings, result)
        told["thresholds"] = {"warning": rule.thresholds.warning, "alarm": rule.thresholds.alarm}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _show(machine, settings, result)


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


def _show(machine: str, settings: AlarmSettings, result: Backtest) -> None:
    from rich.table import Table

    from asd_monitor.cli.console import result_console
    from asd_monitor.wording import clock, count

    console = result_console()
    number = len(result.alarms)
    told = count(number, "alarm") if number else "no alarm"
    judged = f"{clock(result.evaluated_s)} judged of " if result.deaf else ""
    console.print(
        f"{machine}: {told} in {judged}{clock(result.seconds)} of sound, "
        f"budget {settings.false_alarms}; highest alarm score {result.highest:.2f}",
        highlight=False,
    )
    if result.alarms:
        table = Table("alarm", "raised at", "cleared at", "peak score", title=None)
        for alarm in result.alarms:
            cleared = "stands" if alarm.cleared_s is None else clock(alarm.cleared_s)
            table.add_row(
                str(alarm.number), clock(alarm.raised_s), cleared, f"{alarm.peak_score:.2f}"
            )
        console.print(table)
        if settings.latch:
            console.print(
                "An alarm is held until it is acknowledged; --no-latch counts each anew.",
                highlight=False,
            )
    elif result.alarms_per_day is not None:
        console.print(f"That is {result.alarms_per_day:.3g} alarms a day.", highlight=False)
    if result.deaf:
        deaf = clock(result.seconds - result.evaluated_s)
        console.print(
            f"Nobody could listen for {deaf} of {clock(result.seconds)}, because the microphone "
            "was dead (samples that do not change): no alarm there means nothing.",
            highlight=False,
        )
    for begin, end in result.deaf:
        until = "its end" if end == result.seconds else clock(end)
        console.print(
            f"The microphone was dead from {clock(begin)} to {until}: not judged.",
            highlight=False,
        )
    states = Table("state", f"share of the {clock(result.evaluated_s)} judged")
    for state in sorted({span.state for span in result.states}):
        if (seconds := result.seconds_in(state)) > 0:
            states.add_row(state, f"{100 * seconds / result.evaluated_s:.1f} %")
    console.print(states)
