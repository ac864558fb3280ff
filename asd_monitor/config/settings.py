"""Every setting of a box with its unit, range and default, and the whole file.

The names are the keys of the YAML file, which `asd_monitor.config.loading` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.json_schema import GenerateJsonSchema

from asd_monitor.config.field_types import (
    FilePath,
    Host,
    Id,
    ListenAddress,
    SelfTestMode,
    TopicPrefix,
    invalid_value,
)
from asd_monitor.config.machine_settings import Machine, MachineDefaults
from asd_monitor.config.quantities import Budget, Duration, TimeOfDay
from asd_monitor.config.section import Section

MAX_MACHINES = 1000
"""Most machines of one box."""


class Tls(Section):
    """TLS to the broker; without a key the certificates trusted by the system are used."""

    ca: FilePath | None = Field(
        None, examples=["/etc/asd-monitor/ca.pem"], description="Trusted certificates (PEM)."
    )
    cert: FilePath | None = Field(
        None, examples=["/etc/asd-monitor/cert.pem"], description="Client certificate (PEM)."
    )
    key: FilePath | None = Field(
        None,
        examples=["/etc/asd-monitor/key.pem"],
        description="Key (PEM) of the client certificate; the systemd credential `mqtt_tls_key`"
        " takes its place.",
    )

    @field_validator("key")
    @classmethod
    def _key_has_certificate(cls, key: Path | None, others: ValidationInfo) -> Path | None:
        if key and others.data.get("cert", key) is None:
            raise invalid_value("a key without its certificate: add `cert:`")
        return key


class Mqtt(Section):
    """The broker."""

    host: Host = Field("localhost", description="Name or address of the broker.")
    port: int = Field(1883, ge=1, le=65535, description="1883; with TLS usually 8883.")
    prefix: TopicPrefix = Field("asd", description="Beginning of all topics.")
    username: str | None = Field(
        None, min_length=1, examples=["asd"], description="User of the broker."
    )
    password_file: FilePath | None = Field(
        None,
        examples=["/etc/asd-monitor/password"],
        description="File with the password on its first line; the default is the systemd"
        " credential `mqtt_password`, where there is one.",
    )
    tls: Tls | None = Field(
        None, examples=[{}], description="`{}` for TLS with the system's certificates."
    )
    commands: bool = Field(
        default=False,
        description="Whether commands on the topics `<machine>/cmd/<verb>` are carried out.",
    )

    @property
    def address(self) -> str:
        """Host and port: `localhost:1883`."""
        return f"{self.host}:{self.port}"

    @field_validator("password_file")
    @classmethod
    def _password_has_user(cls, file: Path | None, others: ValidationInfo) -> Path | None:
        if file and others.data.get("username", "") is None:
            raise invalid_value("a password without a user: add `username:`")
        return file


class HomeAssistant(Section):
    """Discovery of the machines and the box by Home Assistant."""

    discovery_prefix: TopicPrefix = Field(
        "homeassistant", description="Beginning of the topics of the discovery."
    )


class Inference(Section):
    """How the networks of encoders are run."""

    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="`cuda`: an NVIDIA GPU; needs onnxruntime-gpu."
    )
    threads: int = Field(
        1, ge=1, le=256, description="Processor threads for one call of a network."
    )


class Http(Section):
    """The local page, health and metrics."""

    listen: ListenAddress = Field(
        "127.0.0.1:9464",
        description="Address and port; one that other computers can reach needs a token.",
    )
    token_file: FilePath | None = Field(
        None,
        examples=["/etc/asd-monitor/page.token"],
        description="File with the token on its first line, 16 characters at least; the default is"
        " the systemd credential `http_token`, where there is one. Without a token everybody on"
        " this computer can use the page.",
    )


class Config(Section):
    """The configuration."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    box: Id = Field(
        description="Id of this computer; the default is the host name, and HOST.NAME for the"
        " service asd-monitor@NAME."
    )
    mqtt: Mqtt = Mqtt()
    inference: Inference = Inference()
    http: Http | None = Field(
        None,
        examples=[{"listen": "127.0.0.1:9464"}],
        description="The page in the browser, health and metrics (extra `web`); `null`: none.",
    )
    defaults: MachineDefaults = MachineDefaults()
    homeassistant: HomeAssistant | None = Field(
        None,
        examples=[{}],
        description="Home Assistant shows the machines and the box by itself: `{}`, or with the"
        " prefix that it discovers devices by.",
    )
    selftest: SelfTestMode = Field(
        "daily",
        description="`daily`: each day known faults are added to a copy of the sound, the captured"
        " spectrum is compared with the training, and the broker has to return a message; `off`.",
    )
    machines: Mapping[Id, Machine] = Field(
        min_length=1,
        examples=[{"fan01": {"device": "hw:1"}}],
        description="The machines, by their ids.",
    )

    @field_validator("homeassistant")
    @classmethod
    def _discovery_has_its_own_topics(
        cls, discovery: HomeAssistant | None, others: ValidationInfo
    ) -> HomeAssistant | None:
        mqtt = others.data.get("mqtt")
        if discovery and mqtt is not None and discovery.discovery_prefix == mqtt.prefix:
            raise invalid_value(
                f"{mqtt.prefix!r} is the prefix of the messages (`mqtt.prefix`): write the one that"
                " Home Assistant discovers devices by, such as `homeassistant`"
            )
        return discovery

    def as_written(self) -> dict[str, Any]:
        """Return every setting that has an effect, in the form of the file."""
        return self.model_dump(mode="json")


class _FileSchema(GenerateJsonSchema):
    def encode_default(self, dft: object) -> object:
        if isinstance(dft, Budget | Duration | TimeOfDay):
            return str(dft)
        return super().encode_default(dft)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    schema = Config.model_json_schema(schema_generator=_FileSchema)
    schema["required"] = [key for key in schema["required"] if key != "box"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
