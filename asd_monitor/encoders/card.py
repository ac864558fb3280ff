"""The card of a network: ``FILE.yaml`` beside ``FILE.onnx`` describes its input and outputs.

No parameter of the input has a default that could differ from the training of the network: a
network that gets another spectrogram still returns numbers, only worse ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import lcm
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from asd_monitor.encoders.card_problems import CARD_PROBLEM, describe_problem
from asd_monitor.errors import UsageError
from asd_monitor.names import ID_PATTERN

MAX_CARD_BYTES = 64 * 2**10
MAX_PROBLEMS = 20  # that are reported
MAX_OUTPUT_S = 10  # no window is longer
MAX_SPECTRUM_VALUES = 2**24  # of the frames of the trial: 64 MiB
MAX_FILTER_VALUES = 2**22


class CardError(UsageError):
    """A card is malformed; one line per problem, ``FILE.yaml: key: problem: remedy``."""


def _problem(text: str) -> PydanticCustomError:
    return PydanticCustomError(CARD_PROBLEM, "{problem}", {"problem": text})


def _check_name(name: str) -> str:
    if not re.fullmatch(ID_PATTERN, name):
        raise _problem(
            f"{name!r} cannot be a name: use up to 64 letters, digits, '_', '.' and '-', the "
            "first a letter or digit"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]
Pool = Literal["mean", "spread", "maximum"]
BackEndName = Literal["mahalanobis", "neighbour", "residual", "largest"]


class CardPart(BaseModel):
    """A part of a card; frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LogMel(CardPart):
    """The steps are log-mel frames of ``bands`` numbers: Hann, no centring, no padding.

    ``(log(max(M + offset, floor)) − mean) / scale`` of each mel band M.
    """

    kind: Literal["log_mel"]
    rate_hz: int = Field(ge=4000, le=192_000)
    frame: int = Field(ge=16, le=65_536)  # samples
    fft: int = Field(ge=16, le=65_536)  # samples; frames are padded with zeros at the end
    hop: int = Field(ge=1, le=65_536)  # samples
    bands: int = Field(ge=1, le=1024)
    low_hz: float = Field(ge=0)
    high_hz: float = Field(gt=0)
    mel: Literal["slaney", "htk"]
    area: bool  # triangles of unit area, else of unit height
    slopes: Literal["hz", "mel"] = "hz"  # the axis along which triangles have straight sides
    power: Literal[1, 2]  # of the magnitude
    log: Literal["log10", "ln", "db"]  # db: 10 · log10
    floor: float = Field(0.0, ge=0, le=1e6)
    offset: float = Field(0.0, ge=0, le=1e6)
    mean: float = Field(0.0, ge=-1e6, le=1e6)
    scale: float = Field(1.0, ge=1e-6, le=1e6)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fft < self.frame:
            raise _problem(f"fft {self.fft} is below frame {self.frame}: write fft: {self.frame}")
        if not self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise _problem(
                f"{self.low_hz:g} Hz to {self.high_hz:g} Hz are no bands of sound of "
                f"{self.rate_hz} Hz: low_hz lies below high_hz, and that at {self.rate_hz / 2:g} "
                "or below"
            )
        if self.bands * self.fft > MAX_FILTER_VALUES:
            raise _problem(
                f"{self.bands} bands of an fft of {self.fft} are more than a computer for "
                f"monitoring can compute: write bands times fft at most {MAX_FILTER_VALUES}"
            )
        if not self.floor + self.offset > 1e-30:
            raise _problem(
                "silence has no logarithm: write floor or offset, such as floor: 1.0e-10"
            )
        return self


class Waveform(CardPart):
    """The steps are samples, full scale ±1."""

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


class Output(CardPart):
    """An output of the network: a map of frames along time.

    Frame k depends on the steps from ``k · stride`` to ``k · stride + receptive_field − 1``.
    """

    name: str = Field(min_length=1, max_length=200)
    receptive_field: int = Field(ge=1, le=10**7, alias="reach")  # steps; `reach` in the card
    stride: int = Field(ge=1, le=10**7)  # steps


class CardView(CardPart):
    """A view: some of the outputs, each pooled over the frames of a window to one vector."""

    name: Name
    outputs: tuple[str, ...] = Field(min_length=1, max_length=64, strict=False)
    pool: tuple[Pool, ...] = Field(("mean", "maximum"), min_length=1, max_length=1024, strict=False)
    back_end: BackEndName = "neighbour"


class Card(CardPart):
    """The input and outputs of a network, and the views of a detector on them."""

    name: Name
    licence: str = Field(min_length=1, max_length=1000)
    input: Annotated[LogMel | Waveform, Field(discriminator="kind")]
    outputs: tuple[Output, ...] = Field(min_length=1, max_length=64, strict=False)
    views: tuple[CardView, ...] = Field((), max_length=64, strict=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        outputs = [output.name for output in self.outputs]
        for what, names in (("output", outputs), ("view", [view.name for view in self.views])):
            if repeated := {name for name in names if names.count(name) > 1}:
                raise _problem(
                    f"the {what} {sorted(repeated)[0]!r} is there twice: keep one of the two"
                )
        self._check_durations()
        for view in self.views:
            for name in view.outputs:
                if name not in outputs:
                    raise _problem(
                        f"the view {view.name!r} names an output {name!r}, and outputs has "
                        f"{', '.join(outputs)}: write one of these"
                    )
        return self

    def _check_durations(self) -> None:
        """Check that outputs fit into a window, and their trial into memory."""
        rate_hz, hop = self.input.rate_hz, self.input.hop
        for output in self.outputs:
            for what, samples in (
                ("reach", self.span(output)),
                ("stride", output.stride * hop),
            ):
                if samples > MAX_OUTPUT_S * rate_hz:
                    raise _problem(
                        f"the output {output.name!r} has a {what} of {samples / rate_hz:g} s, and "
                        f"no window is longer than {MAX_OUTPUT_S} s: give it a shorter one"
                    )
        stride = lcm(*(output.stride for output in self.outputs))
        if stride * hop > MAX_OUTPUT_S * rate_hz:
            raise _problem(
                f"the strides of the outputs coincide every {stride * hop / rate_hz:g} s only: "
                "give the outputs strides of which one divides the other"
            )
        steps = max(output.receptive_field for output in self.outputs) + 5 * stride
        if isinstance(self.input, LogMel) and steps * self.input.fft > MAX_SPECTRUM_VALUES:
            raise _problem(
                f"{steps} frames with an fft of {self.input.fft}, as its trial has, are more than "
                "a computer for monitoring can compute: give outputs with a shorter reach or "
                "stride, or a longer hop"
            )

    @property
    def resolved_views(self) -> tuple[CardView, ...]:
        """The views; of a card without any, one of all outputs with the name of the network."""
        names = tuple(output.name for output in self.outputs)
        return self.views or (CardView(name=self.name, outputs=names),)

    def span(self, output: Output) -> int:
        """Return how many samples one frame of an output depends on."""
        return (output.receptive_field - 1) * self.input.hop + self.input.frame

    def to_json(self) -> dict[str, Any]:
        """Return the card as a bundle's manifest stores it, with the keys of the file."""
        return self.model_dump(mode="json", by_alias=True)


def card_from_values(values: object, where: str) -> Card:
    """Return the card of plain values; ``where`` names their place in messages.

    Raises CardError with every problem.
    """
    if not isinstance(values, Mapping):
        raise CardError(f"{where}: a card has keys and values: begin with `name: …`")
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # pydantic also reports a list as too short where its only item is wrong
        above = {each["loc"][:n] for each in problems for n in range(1, len(each["loc"]))}
        parts: dict[str, type[CardPart]] = {
            "log_mel": LogMel,
            "waveform": Waveform,
            "outputs": Output,
            "views": CardView,
        }
        lines = [
            f"{where}: {describe_problem(each, parts, Card)}"
            for each in problems
            if each["loc"] not in above
        ]
        raise CardError(joined_problems(list(dict.fromkeys(lines)))) from error


def joined_problems(lines: Sequence[str]) -> str:
    """Return the problems of a card as the text of an error; of many, the first."""
    more = len(lines) - MAX_PROBLEMS
    return "\n".join([*lines[:MAX_PROBLEMS], *([f"and {more} more problems"] if more > 0 else [])])
