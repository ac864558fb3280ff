"""The card of a network: ``FILE.yaml`` beside ``FILE.onnx`` says what goes in and comes out.

Nothing is guessed: a network that is fed with another spectrogram than it was trained on
still gives numbers, only worse ones, and nobody would notice.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from asd_monitor.config.yaml_text import read_yaml
from asd_monitor.errors import UsageError
from asd_monitor.names import ID_PATTERN

MAX_CARD_BYTES = 64 * 2**10  # bytes


class CardError(UsageError):
    """A card is malformed; one line a problem, ``FILE.yaml: key: what: mend``."""


def _fault(told: str) -> PydanticCustomError:
    return PydanticCustomError("told", "{told}", {"told": told})


def _check_name(name: str) -> str:
    if not re.fullmatch(ID_PATTERN, name):
        raise _fault(
            f"{name!r} cannot be a name: use up to 64 letters, digits, '_', '.' and '-', the "
            "first a letter or digit"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]
Pool = Literal["mean", "spread", "maximum"]
BackEndName = Literal["mahalanobis", "neighbour", "residual", "largest"]


class Part(BaseModel):
    """A part of a card: frozen, and it takes no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LogMel(Part):
    """A step is a log-mel frame of ``bands`` numbers, Hann, without centring or padding.

    ``(log(max(m + offset, floor)) − mean) / scale`` of each mel band m.
    """

    kind: Literal["log_mel"]
    rate_hz: int = Field(ge=4000, le=192_000)
    frame: int = Field(ge=16, le=65_536)  # samples
    fft: int = Field(ge=16, le=65_536)  # samples, padded with zeros at the end
    hop: int = Field(ge=1, le=65_536)  # samples
    bands: int = Field(ge=1, le=1024)
    low_hz: float = Field(ge=0)
    high_hz: float = Field(gt=0)
    mel: Literal["slaney", "htk"]
    area: bool  # each triangle of unit area, else of unit height
    slopes: Literal["hz", "mel"] = "hz"  # the scale in which the triangles' sides are straight
    power: Literal[1, 2]  # of the magnitude
    log: Literal["log10", "ln", "db"]  # db: 10 · log10
    floor: float = Field(0.0, ge=0)
    offset: float = Field(0.0, ge=0)
    mean: float = 0.0
    scale: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fft < self.frame:
            raise _fault(f"fft {self.fft} is below frame {self.frame}: write fft: {self.frame}")
        if not self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise _fault(
                f"{self.low_hz:g} Hz to {self.high_hz:g} Hz are no bands of sound of "
                f"{self.rate_hz} Hz: low_hz lies below high_hz, and that at {self.rate_hz / 2:g} "
                "or below"
            )
        if not self.floor and not self.offset:
            raise _fault("silence has no logarithm: write floor or offset, such as floor: 1.0e-10")
        return self


class Waveform(Part):
    """A step is a sample, full scale ±1."""

    kind: Literal["waveform"]
    rate_hz: int = Field(ge=4000, le=192_000)

    @property
    def frame(self) -> int:
        """Samples of one step."""
        return 1

    @property
    def hop(self) -> int:
        """Samples from one step to the next."""
        return 1


class Output(Part):
    """A map that the network gives: frame k sees the steps k · stride … k · stride + reach − 1."""

    name: str = Field(min_length=1)
    reach: int = Field(ge=1, le=10**7)
    stride: int = Field(ge=1, le=10**7)


class CardView(Part):
    """What of the outputs is looked at together: each pooled over the frames of a window."""

    name: Name
    outputs: tuple[str, ...] = Field(min_length=1, strict=False)
    pool: tuple[Pool, ...] = Field(("mean", "maximum"), min_length=1, strict=False)
    back_end: BackEndName = "neighbour"


class Card(Part):
    """What a network takes and gives, and what is done with that."""

    name: Name
    licence: str = Field(min_length=1)
    input: Annotated[LogMel | Waveform, Field(discriminator="kind")]
    outputs: tuple[Output, ...] = Field(min_length=1, strict=False)
    views: tuple[CardView, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        outputs = [output.name for output in self.outputs]
        for what, names in (("output", outputs), ("view", [view.name for view in self.views])):
            if twice := {name for name in names if names.count(name) > 1}:
                raise _fault(f"the {what} {sorted(twice)[0]!r} stands twice: keep one of the two")
        for view in self.views:
            for name in view.outputs:
                if name not in outputs:
                    raise _fault(
                        f"the view {view.name!r} wants an output {name!r}, and outputs has "
                        f"{', '.join(outputs)}: write one of these"
                    )
        return self

    @property
    def resolved_views(self) -> tuple[CardView, ...]:
        """The views; where the card names none, one of everything, called as the network."""
        every = tuple(output.name for output in self.outputs)
        return self.views or (CardView(name=self.name, outputs=every),)

    def span(self, output: Output) -> int:
        """Return how many samples one frame of an output sees."""
        return (output.reach - 1) * self.input.hop + self.input.frame

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps of it."""
        return self.model_dump(mode="json")


def parse_card(content: bytes, where: str) -> Card:
    """Read a card; ``where`` names its file in messages.  Raises CardError."""
    if len(content) > MAX_CARD_BYTES:
        raise CardError(f"{where}: larger than any card: is it the right file?")
    if not content.strip():
        raise CardError(f"{where}: the file is empty: write the card, see docs/encoders.md")
    document = read_yaml(content)
    if document.faults:
        raise CardError(
            "\n".join(
                f"{where}:{fault.place.line}:{fault.place.column}: {fault.told}"
                for fault in sorted(set(document.faults))
            )
        )
    return card_of(document.value, where)


def card_of(values: object, where: str) -> Card:
    """Make a card of plain values; ``where`` names their place.  Raises CardError."""
    if not isinstance(values, Mapping):
        raise CardError(f"{where}: a card has keys and values: begin with `name: …`")
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # a list is also too short for pydantic where its only item is wrong
        above = {d["loc"][:n] for d in found for n in range(1, len(d["loc"]))}
        lines = [_line(where, details) for details in found if details["loc"] not in above]
        raise CardError("\n".join(dict.fromkeys(lines))) from error


_TAGS = {"log_mel", "waveform"}
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number, with a point, such as 1.0e-10",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}
_OTHERS = {
    "too_short": "this is empty: write something",
    "string_too_short": "this is empty: write something",
    "union_tag_invalid": "the kind of input is not known: write kind: log_mel or kind: waveform",
    "union_tag_not_found": "the kind of input is missing: write kind: log_mel or kind: waveform",
}
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _line(where: str, details: ErrorDetails) -> str:
    loc = [part for n, part in enumerate(details["loc"]) if n != 1 or part not in _TAGS]
    key = ".".join(str(part) for part in loc)
    return ": ".join(part for part in (where, key, _told(details)) if part)


def _told(details: ErrorDetails) -> str:
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    shown = repr(given) if isinstance(given, str | int | float | None) else "this"
    if kind == "told":
        return str(details["msg"])
    if kind in {"missing", "extra_forbidden"}:
        add = f"the key is missing: add `{details['loc'][-1]}: …`"
        return add if kind == "missing" else f"unknown key: {_suggestion(details['loc'])}"
    if kind == "literal_error":
        return f"{shown} is not known: write {context['expected']}"
    if kind in _WANTED:
        return f"{shown} is not {_WANTED[kind].split(',')[0]}: write {_WANTED[kind]}"
    if limits := _LIMITS.keys() & context.keys():
        limit = min(limits)
        return f"{shown} is out of range: write {_LIMITS[limit]} {context[limit]:g}"
    return _OTHERS.get(kind, f"{details['msg']}: see docs/encoders.md")


def _suggestion(loc: tuple[int | str, ...]) -> str:
    parts: dict[str, type[Part]] = {
        "log_mel": LogMel,
        "waveform": Waveform,
        "outputs": Output,
        "views": CardView,
    }
    part = next((parts[str(p)] for p in reversed(loc[:-1]) if str(p) in parts), Card)
    known = list(part.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}"
