"""A network and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

from typing_extensions import override

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.card import Card
from asd_monitor.encoders.session import Layout, Network


@dataclass(frozen=True, slots=True)
class Encoder:
    """A network and its card."""

    card: Card
    network: Network

    @staticmethod
    def from_bytes(onnx: bytes, card: Card) -> Encoder:
        """Make it of bytes that are trusted to fit the card; nothing is run yet."""
        return Encoder(card, Network.of(onnx))

    @override
    def __reduce__(self) -> tuple[Callable[[bytes, Card], Encoder], tuple[bytes, Card]]:
        """Go to another process without the session."""
        return Encoder.from_bytes, (self.network.onnx, self.card)

    @property
    def name(self) -> str:
        """Name by the card."""
        return self.card.name

    @property
    def sha256(self) -> str:
        """Hash of the network's bytes."""
        return self.network.sha256

    @property
    def onnx(self) -> bytes:
        """The network itself."""
        return self.network.onnx

    @property
    def view_names(self) -> list[str]:
        """Names of its vectors in a window's features."""
        return [view.name for view in self.card.resolved_views]

    def open(self) -> Layout:
        """Make the session and see that the network takes what the card says.

        Raises EncoderError.
        """
        return self.network.layout(self.card)

    def incompatibility(self, front_end: FrontEnd) -> str | None:
        """Return why it cannot look at windows of this front end; None: it can."""
        taken = self.card.input
        if taken.rate_hz != front_end.rate_hz:
            return (
                f"it takes sound of {taken.rate_hz} Hz, and this is heard at {front_end.rate_hz} Hz"
            )
        for output in self.card.outputs:
            stride = output.stride * taken.hop
            # a window begins anywhere between two frames, as far as their common measure allows
            needed = self.card.span(output) + stride - gcd(stride, front_end.hop)
            if needed > front_end.window:
                return (
                    f"its output {output.name!r} needs windows of {needed / taken.rate_hz:.3f} s, "
                    f"and these have {front_end.window_s:.3f} s"
                )
        return None
