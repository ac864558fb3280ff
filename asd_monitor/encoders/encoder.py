"""An encoder: a network in ONNX format and the card that describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

from typing_extensions import override

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.card import Card
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import InputLayout, Network


@dataclass(frozen=True, slots=True)
class Encoder:
    """A network and its card."""

    card: Card
    network: Network

    @staticmethod
    def from_bytes(
        onnx: bytes,
        card: Card,
        runtime: Runtime = Runtime(),  # noqa: B008 - frozen
    ) -> Encoder:
        """Return an encoder of ONNX bytes; nothing is run or checked yet."""
        return Encoder(card, Network.from_bytes(onnx, runtime))

    @override
    def __reduce__(self) -> tuple[Callable[[bytes, Card], Encoder], tuple[bytes, Card]]:
        """Pickle without the session; the other process creates its own, on the processor."""
        return Encoder.from_bytes, (self.network.onnx, self.card)

    @property
    def name(self) -> str:
        """Name in the card."""
        return self.card.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the ONNX bytes, hexadecimal."""
        return self.network.sha256

    @property
    def onnx(self) -> bytes:
        """The network, as ONNX bytes."""
        return self.network.onnx

    @property
    def view_names(self) -> list[str]:
        """Names of its vectors among the features of a window."""
        return [view.name for view in self.card.resolved_views]

    def open(self) -> InputLayout:
        """Create the session and return the layout of the network's input.

        Raises EncoderError where the network does not match the card.
        """
        return self.network.layout(self.card)

    def incompatibility(self, front_end: FrontEnd) -> str | None:
        """Return why the encoder cannot be used with this front end; None where it can.

        Rates must be equal, and every window must hold a whole frame of each output.
        """
        rate_hz, hop = self.card.input.rate_hz, self.card.input.hop
        if rate_hz != front_end.rate_hz:
            return f"it takes sound of {rate_hz} Hz, and this sound has {front_end.rate_hz} Hz"
        for output in self.card.outputs:
            period = output.stride * hop
            # a window can begin anywhere between two frames, in steps of the common divisor
            needed = self.card.span(output) + period - gcd(period, front_end.hop)
            if needed > front_end.window:
                return (
                    f"its output {output.name!r} needs windows of {needed / rate_hz:.3f} s, "
                    f"and these have {front_end.window_s:.3f} s"
                )
        return None
