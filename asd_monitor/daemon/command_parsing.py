"""Commands over MQTT as requests: the payload of each verb, checked; pure.

Whatever the payload is, the result is a command or a refusal in one sentence with the remedy.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from asd_monitor.config.quantities import parse_duration
from asd_monitor.errors import UsageError
from asd_monitor.journal.requests import MAX_TEXT_CHARS, NO_REASON, Request, Verb
from asd_monitor.publish.received_commands import MAX_COMMAND_BYTES
from asd_monitor.wording import quoted, rfc3339

MAX_WHO_CHARS = 64
MAX_WHY_CHARS = MAX_TEXT_CHARS
DEFAULT_WHO = "mqtt"

_ALARM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode that are no part of a text in one line: control characters and such."""
_NAMED_ERRORS = 3


class CommandRefusedError(ValueError):
    """A command is not carried out: why, and the remedy, in one sentence."""


@dataclass(frozen=True, slots=True)
class ReloadCommand:
    """The configuration and the models are to be read again."""

    who: str
    why: str | None


Command = Request | ReloadCommand


def _one_line(text: str) -> str:
    if any(unicodedata.category(each) in _NO_TEXT for each in text):
        raise ValueError("control characters are not allowed: write it in one line")
    return text.strip()


def _alarm_id(text: str) -> str:
    if not _ALARM_ID.fullmatch(text):
        raise ValueError(
            f"{quoted(text)} is not the id of an alarm: write `id` of the message on the topic"
            " `alarm` of the machine"
        )
    return text


def _given(text: str) -> str:
    if not text:
        raise ValueError("it is empty: say why")
    return text


_ID = "id of the alarm"
_WHY = f"reason, at most {MAX_WHY_CHARS} characters"
_Who = Annotated[str, Field(max_length=MAX_WHO_CHARS), AfterValidator(_one_line)]
_AlarmId = Annotated[str, AfterValidator(_alarm_id)]
_Why = Annotated[str, Field(max_length=MAX_WHY_CHARS), AfterValidator(_one_line)]
_Time = Annotated[str, Field(max_length=64)]


class _OfMachine(BaseModel):
    """The keys of a command about a machine."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    who: _Who | None = Field(
        None,
        description=f"name of the person, at most {MAX_WHO_CHARS} characters; `{DEFAULT_WHO}` where"
        " it is missing",
    )
    why: _Why | None = Field(None, description=_WHY)

    @property
    def alarm_id(self) -> str | None:
        """The alarm that the command is about; None: it is about the machine."""
        return None

    def arguments(self) -> dict[str, str]:
        """Return the arguments of the request, but for what depends on the present time."""
        return {}


class _OutOfService(_OfMachine):
    why: Annotated[_Why, AfterValidator(_given)] = Field(description=_WHY)


class _OfAlarm(_OfMachine):
    """The keys of a command about an alarm."""

    id: _AlarmId = Field(description=_ID)

    @property
    def alarm_id(self) -> str | None:
        """The alarm that the command is about."""
        return self.id


class _Shelving(_OfAlarm):
    until: _Time | None = Field(
        None, description="time with its zone, such as `2026-11-23T05:00:00Z` (RFC 3339)"
    )
    period: Annotated[str | None, Field(max_length=64)] = Field(
        None, alias="for", description="or a period: `30m`, `2h`, `3d`"
    )

    def end(self, now: datetime) -> datetime:
        """Return the time until which the alarm is shelved.  Raises `CommandRefusedError`."""
        if (self.until is None) == (self.period is None):
            raise CommandRefusedError(
                'say until when: either "until": a time such as "2026-11-23T05:00:00Z", or "for": a'
                ' period such as "2h"'
            )
        return _end_of(self.period or "", now) if self.until is None else _time("until", self.until)


class _Labelling(_OfAlarm):
    label: Literal["valid", "invalid"] = Field(description="`valid` or `invalid`")

    def arguments(self) -> dict[str, str]:
        """Return the label."""
        return {"label": self.label}


class _MarkingNormal(_OfMachine):
    """The keys of a command about the sound of an alarm, or of the machine between two times."""

    why: Annotated[_Why, AfterValidator(_given)] | None = Field(None, description=_WHY)
    id: _AlarmId | None = Field(None, description=_ID)
    begin: _Time | None = Field(
        None,
        alias="from",
        description="beginning of a span, as `until`; a day long at most, of the last 30 days",
    )
    end: _Time | None = Field(None, alias="to", description="end of the span, as `until`")
    withdraw: bool = Field(default=False, description="`true`: the mark is withdrawn")

    @property
    def alarm_id(self) -> str | None:
        """The alarm whose sound it is; None: it is that of a span."""
        return self.id

    def arguments(self) -> dict[str, str]:
        """Return the span, and whether its mark is withdrawn.  Raises `CommandRefusedError`."""
        is_span = self.begin is not None and self.end is not None
        if is_span == (self.id is not None) or (self.begin is None) != (self.end is None):
            raise CommandRefusedError(
                'say which sound: either "id": that of an alarm, or "from" and "to": two times such'
                ' as "2026-11-23T05:00:00Z"'
            )
        arguments = {"withdraw": "true"} if self.withdraw else {}
        if self.begin is None or self.end is None:
            return arguments
        if self.why is None:
            raise CommandRefusedError('say why this sound is normal, or is not any more: "why"')
        begin, end = _time("from", self.begin), _time("to", self.end)
        return arguments | {"from": rfc3339(begin), "to": rfc3339(end)}


@dataclass(frozen=True, slots=True)
class _Form:
    """What the payload of a verb is."""

    keys: type[_OfMachine]
    example: str
    request: Verb | None  # None: a reload


_OF_MACHINE_EXAMPLE = '{"why": "done", "who": "ann"}'

_FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        "ack": _Form(_OfAlarm, '{"id": "…", "why": "new belt", "who": "ann"}', Verb.ACK),
        "shelve": _Form(_Shelving, '{"id": "…", "for": "2h", "why": "known"}', Verb.SHELVE),
        "unshelve": _Form(_OfAlarm, '{"id": "…", "who": "ann"}', Verb.UNSHELVE),
        "out-of-service": _Form(
            _OutOfService, '{"why": "maintenance", "who": "ann"}', Verb.OUT_OF_SERVICE
        ),
        "in-service": _Form(_OfMachine, _OF_MACHINE_EXAMPLE, Verb.IN_SERVICE),
        "label": _Form(_Labelling, '{"id": "…", "label": "valid"}', Verb.LABEL),
        "mark-normal": _Form(
            _MarkingNormal, '{"id": "…", "why": "new filter", "who": "ann"}', Verb.MARK_NORMAL
        ),
        "reload": _Form(_OfMachine, _OF_MACHINE_EXAMPLE, None),
    }
)

VERBS = tuple(_FORMS)
"""The verbs of commands."""


def command_keys() -> dict[str, str]:
    """Return the content of each key of a command, by its name."""
    fields = [field for form in _FORMS.values() for field in form.keys.model_fields.items()]
    return {field.alias or name: field.description or "" for name, field in fields}


def parse_command(machine: str, verb: str, payload: bytes, now: datetime) -> Command:
    """Return the command of a message.

    Args:
        machine: Id of the machine.
        verb: The last level of the topic.
        payload: The message, at most `MAX_COMMAND_BYTES` bytes of UTF-8: the id of an alarm, JSON,
            or nothing where the verb is of a machine.  Sound of an alarm that is marked as normal
            without a reason has `NO_REASON`.
        now: The present time.

    Raises:
        CommandRefusedError: It is no such command; with the remedy.

    """
    form = _FORMS.get(verb)
    if form is None:
        raise CommandRefusedError(_unknown_verb(verb))
    keys = _keys(form, _text(payload))
    who, why = keys.who or DEFAULT_WHO, keys.why or None
    if form.request is None:
        return ReloadCommand(who, why)
    if form.request is Verb.MARK_NORMAL:
        why = why or NO_REASON  # a mark has one
    arguments = keys.arguments()
    if isinstance(keys, _Shelving):
        arguments["until"] = rfc3339(keys.end(now))
    return Request(
        form.request, machine, who, now, alarm_id=keys.alarm_id, why=why, arguments=arguments
    )


def _unknown_verb(verb: str) -> str:
    close = difflib.get_close_matches(verb.lower().replace("_", "-"), VERBS, n=1, cutoff=0.7)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"there is no command {quoted(verb)}: {meant}the commands are {', '.join(VERBS)}"


def _text(payload: bytes) -> str:
    if len(payload) > MAX_COMMAND_BYTES:
        raise CommandRefusedError(too_long())
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as error:
        raise CommandRefusedError("the payload is not text: write it in UTF-8") from error


def too_long() -> str:
    """Return the refusal of a payload above `MAX_COMMAND_BYTES`."""
    return f"the payload is too long: write at most {MAX_COMMAND_BYTES} bytes"


def _keys(form: _Form, text: str) -> _OfMachine:
    try:
        if text.startswith("{"):
            return form.keys.model_validate_json(text)
        if text and "id" in form.keys.model_fields:
            return form.keys.model_validate({"id": text})
        if not text:
            return form.keys.model_validate({})
    except ValidationError as error:
        raise CommandRefusedError(_described(form, error)) from error
    raise CommandRefusedError(f"{quoted(text)} is not JSON: write `{form.example}`, or nothing")


def _described(form: _Form, error: ValidationError) -> str:
    details = sorted(
        error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden"
    )
    texts = list(dict.fromkeys(_describe(form, each) for each in details))
    return "; ".join(texts[:_NAMED_ERRORS]) + f"; such as `{form.example}`"


def _describe(form: _Form, details: ErrorDetails) -> str:
    """Return what is wrong, and the remedy."""
    kind, limits = details["type"], details.get("ctx", {})
    key = str(details["loc"][0]) if details["loc"] else ""
    match kind:
        case "json_invalid":
            text = f"the payload is not valid JSON ({limits.get('error', 'malformed')})"
        case "extra_forbidden":
            text = f"unknown key {quoted(key)}: {_suggestion(form, key)}"
        case "missing":
            text = f"the key {key!r} is missing: add it"
        case "string_too_long":
            text = f"{key} is too long: write at most {limits['max_length']} characters"
        case "literal_error":
            text = f"{key} is not a label: write valid or invalid"
        case "bool_type":
            text = f"{key} is neither true nor false: write one of them"
        case "string_type":
            text = f"{key} is not text: put it in quotes"
        case "value_error":
            text = f"{key}: {limits['error']}"
        case _:
            text = f"{key or 'the payload'}: {details['msg']}: correct it"
    return text


def _suggestion(form: _Form, key: str) -> str:
    known = [field.alias or name for name, field in form.keys.model_fields.items()]
    close = difflib.get_close_matches(key.lower()[:MAX_WHO_CHARS], known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}"


def _time(key: str, text: str) -> datetime:
    remedy = 'write it with its zone, such as "2026-11-23T05:00:00Z"'
    if not _RFC3339.fullmatch(text):
        raise CommandRefusedError(f"{key}: {quoted(text)} is not a time: {remedy}")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CommandRefusedError(f"{key}: {quoted(text)} is not a time: {remedy}") from error


def _end_of(period: str, now: datetime) -> datetime:
    try:
        return now + timedelta(seconds=parse_duration(period).seconds)
    except UsageError as error:
        raise CommandRefusedError(f"for: {error}") from error
    except OverflowError as error:
        raise CommandRefusedError(
            f"for: {quoted(period)} is too long: write at most 7 days, such as `7d`"
        ) from error
