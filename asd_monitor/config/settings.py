"""Every setting, with its unit, its range and its default.

The names are those of the YAML file, which `asd_monitor.config.loading` reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

from asd_monitor.config.quantities import (
    Budget,
    Duration,
    check_host,
    format_size,
    parse_budget,
    parse_duration,
    parse_size,
)
from asd_monitor.errors import UsageError
from asd_monitor.names import ID_PATTERN, check_id, check_topic_prefix
from asd_monitor.records import AlarmCriteria

SHORTEST_LEARNING_S = 60.0  # less usable sound than this trains nothing

T = TypeVar("T")
R = TypeVar("R")


def _error(told: str) -> PydanticCustomError:
    return PydanticCustomError("told", "{told}", {"told": told})


def _told(parse: Callable[[T], R]) -> Callable[[T], R]:
    """Let pydantic carry the message of a `UsageError`."""

    def validate(value: T) -> R:
        try:
            return parse(value)
        except UsageError as error:
            raise _error(str(error)) from error

    return validate


def _check_learning(text: object) -> Duration:
    learn = parse_duration(text)
    if learn.seconds < SHORTEST_LEARNING_S:
        raise UsageError(f"{learn} is too short to learn a machine: write at least `60s`")
    return learn


BudgetSetting = Annotated[
    Budget,
    PlainValidator(_told(parse_budget)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["1 per month", "2 per week"]}),
]
Learning = Annotated[
    Duration,
    PlainValidator(_told(_check_learning)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["30m", "2h"]}),
]
Size = Annotated[
    int,
    PlainValidator(_told(parse_size)),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["2 GB", "500 MB"]}),
]
Id = Annotated[
    str,
    AfterValidator(_told(check_id)),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$", "not": {"const": "box"}}),
]
Prefix = Annotated[str, AfterValidator(_told(check_topic_prefix))]
FilePath = Annotated[Path, Field(strict=False)]


class Section(BaseModel):
    """A part of the file: frozen, and it takes no key that it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


# The checks of one key against another stand with the later of the two, so that each is made
# however wrong the rest of the section is; a key that is itself wrong is missing from `data`.


class Tls(Section):
    """TLS to the broker; all empty: the certificates that the system trusts."""

    ca: FilePath | None = Field(
        None, examples=["/etc/asd-monitor/ca.pem"], description="Certificates (PEM) to trust."
    )
    cert: FilePath | None = Field(
        None, examples=["/etc/asd-monitor/cert.pem"], description="Our certificate (PEM)."
    )
    key: FilePath | None = Field(
        None, examples=["/etc/asd-monitor/key.pem"], description="The key (PEM) of our certificate."
    )

    @field_validator("key")
    @classmethod
    def _key_has_certificate(cls, key: Path | None, others: ValidationInfo) -> Path | None:
        if key and others.data.get("cert", key) is None:
            raise _error("a key without its certificate: add `cert:`")
        return key


class Mqtt(Section):
    """The broker."""

    host: str = Field("localhost", min_length=1, description="Name or address of the broker.")
    port: int = Field(1883, ge=1, le=65535, description="1883; with TLS usually 8883.")
    prefix: Prefix = Field("asd", description="Topics begin with it.")
    username: str | None = Field(None, min_length=1, examples=["asd"])
    password_file: FilePath | None = Field(
        None,
        examples=["/etc/asd-monitor/password"],
        description="File that holds the password; without it the systemd credential"
        " `mqtt_password` is used where there is one.",
    )
    tls: Tls | None = Field(
        None, examples=[{}], description="`{}` for TLS with the system's certificates."
    )
    commands: bool = Field(default=False, description="Obey commands sent over MQTT.")

    @property
    def address(self) -> str:
        """Host and port: `localhost:1883`."""
        return f"{self.host}:{self.port}"

    @field_validator("host")
    @classmethod
    def _host_can_be(cls, host: str) -> str:
        return _told(check_host)(host)

    @field_validator("password_file")
    @classmethod
    def _password_has_user(cls, file: Path | None, others: ValidationInfo) -> Path | None:
        if file and others.data.get("username", "") is None:
            raise _error("a password without a user: add `username:`")
        return file


class Inference(Section):
    """How the networks of models are run."""

    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="`cuda`: an NVIDIA GPU; needs onnxruntime-gpu."
    )
    threads: int = Field(
        1, ge=1, le=256, description="Of the processor, for one call of a network."
    )


class AlarmSettings(Section):
    """When to alarm."""

    false_alarms: BudgetSetting = Field(
        parse_budget("1 per month"), description="False alarms that you accept."
    )
    warnings: BudgetSetting = Field(
        parse_budget("1 per day"), description="False warnings that you accept."
    )
    on_delay_s: float = Field(3.0, ge=0, le=3600, description="Excess lasts so long to alarm.")
    off_delay_s: float = Field(10.0, ge=0, le=3600, description="Calm lasts so long to clear.")
    latch: bool = Field(default=True, description="Hold an alarm until it is acknowledged.")

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
    """What is kept for an alarm."""

    keep_before_s: float = Field(10.0, ge=0, le=600, description="Sound kept from before it.")
    keep_after_s: float = Field(10.0, ge=0, le=600, description="Sound kept from after it.")
    max_bytes: Size = Field(2_000_000_000, description="All evidence together.")
    max_age_days: float = Field(30.0, gt=0, le=36500, description="Older evidence is deleted.")


class MachineDefaults(Section):
    """What each machine can set for itself."""

    window_s: float = Field(1.984, ge=0.65, le=10, description="Sound scored together.")
    hop_s: float = Field(
        0.512, validate_default=True, ge=0.03, le=10, description="From one window to the next."
    )
    alarm: AlarmSettings = AlarmSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    score_every_s: float = Field(
        0.0, ge=0, le=3600, description="Publish a score so often, the greatest since; 0: all."
    )
    learn: Learning | None = Field(
        None,
        examples=["30m"],
        description="Learn a machine without a model from so much sound, then monitor it.",
    )

    @field_validator("hop_s")
    @classmethod
    def _windows_leave_nothing_out(cls, hop_s: float, others: ValidationInfo) -> float:
        window_s = others.data.get("window_s", hop_s)
        if hop_s > window_s:
            raise _error(
                f"{hop_s:g} s from window to window leaves sound unheard: at most the window,"
                f" {window_s:g}"
            )
        return hop_s


class Machine(MachineDefaults):
    """One machine and the microphone that hears it."""

    device: str = Field(
        min_length=1,
        description="The microphone: see `asd-monitor devices`.",
        examples=["hw:1", "usb-id:0d8c:0014", "file:/path/to.wav"],
    )
    channel: int | None = Field(
        None, ge=0, le=255, examples=[0], description="From 0; or `#1` in `device`."
    )

    @field_validator("channel")
    @classmethod
    def _one_channel(cls, channel: int | None, others: ValidationInfo) -> int | None:
        device = others.data.get("device", "")
        if channel is not None and re.search(r"#\d+$", device):
            raise _error(f"the device {device!r} names a channel already: leave out one of the two")
        return channel

    @property
    def device_text(self) -> str:
        """The device string with its channel: `hw:1#2`."""
        return self.device if self.channel is None else f"{self.device}#{self.channel}"


class Config(Section):
    """The whole configuration."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    box: Id = Field(description="Id of this computer; the host name unless given.")
    mqtt: Mqtt = Mqtt()
    inference: Inference = Inference()
    defaults: MachineDefaults = MachineDefaults()
    machines: Mapping[Id, Machine] = Field(min_length=1, examples=[{"fan01": {"device": "hw:1"}}])

    def as_written(self) -> dict[str, Any]:
        """Return every setting as it would stand in the file."""
        return self.model_dump(mode="json")


class _FileSchema(GenerateJsonSchema):
    def encode_default(self, dft: object) -> object:
        return str(dft) if isinstance(dft, Budget | Duration) else super().encode_default(dft)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    schema = Config.model_json_schema(schema_generator=_FileSchema)
    schema["required"] = [key for key in schema["required"] if key != "box"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
