"""Types of the settings that are written as text, and their validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from asd_monitor.config.json_path import JsonPath, parse_json_path
from asd_monitor.config.listen_address import parse_listen
from asd_monitor.config.quantities import (
    Budget,
    Duration,
    TimeOfDay,
    check_host,
    format_size,
    parse_budget,
    parse_duration,
    parse_size,
    parse_time_of_day,
)
from asd_monitor.errors import UsageError
from asd_monitor.names import ID_PATTERN, check_id, check_topic_name, check_topic_prefix
from asd_monitor.wording import DAY_S

MIN_TRAINING_S = 60.0
"""Shortest usable sound from which a model is trained, in s."""

MIN_STALE_S = 10.0
"""Shortest time after which a signal is stale, in s: a topic with too many messages is read this
often."""

_MAX_STALE_S = 366 * DAY_S

INVALID_VALUE = "invalid_value"
"""Type of the errors of pydantic whose message is complete, remedy included."""

T = TypeVar("T")
R = TypeVar("R")


def invalid_value(message: str) -> PydanticCustomError:
    """Return an error of pydantic with a complete message."""
    return PydanticCustomError(INVALID_VALUE, "{message}", {"message": message})


def _validator(parse: Callable[[T], R]) -> Callable[[T], R]:
    """Return ``parse`` with its `UsageError` as an error of pydantic."""

    def validate(value: T) -> R:
        try:
            return parse(value)
        except UsageError as error:
            raise invalid_value(str(error)) from error

    return validate


def _parse_training_time(text: object) -> Duration:
    duration = parse_duration(text)
    if duration.seconds < MIN_TRAINING_S:
        raise UsageError(f"{duration} is too short to train a model: write at least `60s`")
    return duration


def _parse_stale_time(text: object) -> Duration:
    duration = parse_duration(text)
    if not MIN_STALE_S <= duration.seconds <= _MAX_STALE_S:
        raise UsageError(f"{duration} is outside `10s` … `366d`: write such as `5m`")
    return duration


BudgetText = Annotated[
    Budget,
    PlainValidator(_validator(parse_budget)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["1 per month", "2 per week"]}),
]
TrainingTime = Annotated[
    Duration,
    PlainValidator(_validator(_parse_training_time)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["30m", "2h"]}),
]
LocalTime = Annotated[
    TimeOfDay,
    PlainValidator(_validator(parse_time_of_day)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["03:00", "22:30"]}),
]
StaleTime = Annotated[
    Duration,
    PlainValidator(_validator(_parse_stale_time)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["5m", "1h"]}),
]
JsonPathText = Annotated[
    JsonPath,
    PlainValidator(_validator(parse_json_path)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["$.run", "$.drives[0].run"]}),
]
SelfTestMode = Annotated[
    Literal["daily", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),  # `off` in YAML 1.1
]
TopicName = Annotated[str, Field(min_length=1), AfterValidator(_validator(check_topic_name))]
Size = Annotated[
    int,
    PlainValidator(_validator(parse_size)),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["2 GB", "500 MB"]}),
]
Id = Annotated[
    str,
    AfterValidator(_validator(check_id)),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$", "not": {"const": "box"}}),
]
Host = Annotated[str, Field(min_length=1), AfterValidator(_validator(check_host))]
TopicPrefix = Annotated[str, AfterValidator(_validator(check_topic_prefix))]
FilePath = Annotated[Path, Field(strict=False)]
ListenAddress = Annotated[
    str,
    PlainValidator(_validator(parse_listen)),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:9464", "[::1]:9464"]}),
]
