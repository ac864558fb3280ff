"""Every setting of one machine, with its unit, range and default.

The names are the keys of the YAML file.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from asd_monitor.config.field_types import (
    BudgetText,
    JsonPathText,
    LocalTime,
    Size,
    StaleTime,
    TopicName,
    TrainingTime,
    invalid_value,
)
from asd_monitor.config.quantities import parse_budget, parse_duration, parse_time_of_day
from asd_monitor.config.section import Section
from asd_monitor.records import (
    MAX_COMMISSIONING_DAYS,
    AlarmCriteria,
    Bearing,
    MachineGeometry,
    WhenQuiet,
)

_MAX_CHANNEL = 255
_WITH_CHANNEL = re.compile(r"#\d+$")


class AlarmSettings(Section):
    """The alarm rule."""

    false_alarms: BudgetText = Field(
        parse_budget("1 per month"), description="Accepted rate of false alarms."
    )
    warnings: BudgetText = Field(
        parse_budget("1 per day"), description="Accepted rate of false warnings."
    )
    on_delay_s: float = Field(
        3.0, ge=0, le=3600, description="Time above the threshold before an alarm is raised."
    )
    off_delay_s: float = Field(
        10.0, ge=0, le=3600, description="Time below the threshold before an alarm clears."
    )
    latch: bool = Field(default=True, description="Keep an alarm active until it is acknowledged.")

    @property
    def criteria(self) -> AlarmCriteria:
        """The same in plain numbers, as the alarm rule takes them."""
        return AlarmCriteria(
            false_alarms_hz=self.false_alarms.per_second,
            warnings_hz=self.warnings.per_second,
            on_delay_s=self.on_delay_s,
            off_delay_s=self.off_delay_s,
            latch=self.latch,
        )


class EvidenceSettings(Section):
    """The evidence of alarms: sound and pictures in the state folder."""

    sound: Literal["full", "lowpass", "none"] = Field(
        "full",
        description="`lowpass`: only what is below 500 Hz; `none`: no sound is stored. With both,"
        " also not during commissioning, except that which `learn` trains on.",
    )
    keep_before_s: float = Field(
        10.0,
        ge=0,
        le=600,
        description="Sound before the score reached the threshold; more than 30 s counts as 30 s.",
    )
    keep_after_s: float = Field(
        10.0, ge=0, le=600, description="Sound after the alarm; more than 30 s counts as 30 s."
    )
    max_bytes: Size = Field(
        2_000_000_000,
        description="Space for the evidence of a machine; the oldest is deleted first.",
    )
    max_age_days: float = Field(
        30.0, gt=0, le=36500, description="Older evidence is deleted, unless it is labelled."
    )


class CommissioningSettings(Section):
    """The first days of a new model, in which it is extended from live sound."""

    days: float = Field(
        7.0,
        ge=0,
        le=MAX_COMMISSIONING_DAYS,
        description="Days in which a new model is extended; 0: it is not.",
    )
    refit_at: LocalTime = Field(
        parse_time_of_day("03:00"), description="Local time of the daily refit."
    )


class RunningSettings(Section):
    """A message by which the plant's controls report whether the machine runs."""

    topic: TopicName = Field(
        description="Topic whose newest message says whether the machine runs.",
        examples=["plc/fan01"],
    )
    json_path: JsonPathText | None = Field(
        None,
        examples=["$.run"],
        description="Place of the value in a JSON message; without it the message is the value:"
        " true, false, 1, 0, on or off.",
    )
    stale_after: StaleTime = Field(
        parse_duration("5m"),
        description="Age from which the newest message does not count any more: the machine is"
        " then taken to be running.",
    )


class BearingSettings(Section):
    """A rolling-element bearing, from its data sheet."""

    balls: int = Field(ge=3, le=200, examples=[9], description="Number of balls or rollers.")
    ball_mm: float = Field(
        gt=0, le=1000, examples=[7.94], description="Diameter of a ball or roller."
    )
    pitch_mm: float = Field(
        gt=0,
        le=10000,
        examples=[39.04],
        description="Diameter of the circle of the balls' centres.",
    )
    angle_deg: float = Field(0.0, ge=0, lt=90, description="Contact angle.")

    @field_validator("pitch_mm")
    @classmethod
    def _balls_fit(cls, pitch_mm: float, others: ValidationInfo) -> float:
        ball_mm = others.data.get("ball_mm", 0.0)
        balls = others.data.get("balls", 3)
        if balls * ball_mm > math.pi * pitch_mm:
            raise invalid_value(
                f"{balls} balls of {ball_mm:g} mm do not fit on a circle of {pitch_mm:g} mm:"
                " see the data sheet of the bearing"
            )
        return pitch_mm


class GeometrySettings(Section):
    """Speed of the shaft and bearing: a rate in the reason of an alarm is named by them."""

    shaft_rpm: float = Field(
        gt=0,
        le=1_000_000,
        examples=[1480],
        description="Speed of the shaft, in revolutions a minute.",
    )
    bearing: BearingSettings | None = Field(
        None,
        examples=[{"balls": 9, "ball_mm": 7.94, "pitch_mm": 39.04}],
        description="Without it only multiples of the shaft's speed are named.",
    )


class MachineDefaults(Section):
    """Settings of a machine that have a default for all machines."""

    window_s: float = Field(1.984, ge=0.65, le=10, description="Length of a window.")
    hop_s: float = Field(
        0.512,
        validate_default=True,
        ge=0.03,
        le=10,
        description="Time between window starts.",
    )
    alarm: AlarmSettings = AlarmSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    commissioning: CommissioningSettings = CommissioningSettings()
    score_every_s: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Interval of published scores, each the largest since the last; 0: all.",
    )
    learn: TrainingTime | None = Field(
        None,
        examples=["30m"],
        description="Sound from which a machine without a model is trained first.",
    )

    when_quiet: Literal["warn", "idle", "alarm"] = Field(
        "warn",
        description="Sound far quieter than ever in training: `warn`; `idle`: the machine may be"
        " off; `alarm`: it must run.",
    )

    running: RunningSettings | None = Field(
        None,
        examples=[{"topic": "plc/fan01", "json_path": "$.run"}],
        description="MQTT message that says whether the machine runs; while it does not, alarms"
        " are suppressed.",
    )

    geometry: GeometrySettings | None = Field(
        None,
        examples=[{"shaft_rpm": 1480, "bearing": {"balls": 9, "ball_mm": 7.94, "pitch_mm": 39.04}}],
        description="Shaft and bearing, by which the reason of an alarm names rates.",
    )

    @property
    def alarm_criteria(self) -> AlarmCriteria:
        """When an alarm is to be raised, as the alarm rule takes it."""
        return replace(self.alarm.criteria, when_quiet=WhenQuiet(self.when_quiet))

    @property
    def machine_geometry(self) -> MachineGeometry | None:
        """Shaft and bearing, as the reasons of alarms take them."""
        geometry = self.geometry
        if geometry is None:
            return None
        bearing = geometry.bearing
        return MachineGeometry(
            geometry.shaft_rpm, None if bearing is None else Bearing(**bearing.model_dump())
        )

    @field_validator("hop_s")
    @classmethod
    def _windows_without_gaps(cls, hop_s: float, others: ValidationInfo) -> float:
        window_s = others.data.get("window_s", hop_s)
        if hop_s > window_s:
            raise invalid_value(
                f"a hop of {hop_s:g} s leaves gaps between windows of {window_s:g} s: write at"
                f" most {window_s:g}"
            )
        return hop_s


class Machine(MachineDefaults):
    """One machine and its microphone."""

    device: str = Field(
        min_length=1,
        description="Microphone: see `asd-monitor devices`.",
        examples=["hw:1", "usb-id:0d8c:0014", "file:/path/to.wav"],
    )
    channel: int | None = Field(
        None,
        ge=0,
        le=_MAX_CHANNEL,
        examples=[0],
        description="Channel of the device, from 0; or `#1` in `device`.",
    )

    @field_validator("channel")
    @classmethod
    def _one_channel(cls, channel: int | None, others: ValidationInfo) -> int | None:
        device = others.data.get("device", "")
        if channel is not None and _WITH_CHANNEL.search(device):
            raise invalid_value(
                f"the device {device!r} has a channel already: remove one of the two"
            )
        return channel

    @property
    def device_text(self) -> str:
        """The device string with its channel: `hw:1#2`."""
        return device_text(self.device, self.channel)


def device_text(device: str, channel: object) -> str:
    """Return the device string with its channel; unchanged where that is not a valid one."""
    if type(channel) is not int or not 0 <= channel <= _MAX_CHANNEL or _WITH_CHANNEL.search(device):
        return device
    return f"{device}#{channel}"
