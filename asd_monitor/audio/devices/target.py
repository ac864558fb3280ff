"""What a device string means on this computer at this moment, and why it can't be had."""

from __future__ import annotations

import contextlib
import os

from asd_monitor.audio.capture.child_process import ChildEndedError
from asd_monitor.audio.devices.cards import Card, Cards, NoCardError
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.audio.source import Outage
from asd_monitor.records import MicrophoneState

_CARD_KINDS = (DeviceKind.HW, DeviceKind.CARD_ID, DeviceKind.USB_PATH, DeviceKind.USB_ID)


class DeviceUnavailableError(Exception):
    """Nothing can be heard from this device now; `outage` tells why and the mend."""

    def __init__(
        self, spec: DeviceSpec, reason: str, state: MicrophoneState = MicrophoneState.NO_DEVICE
    ) -> None:
        super().__init__(reason)
        self.outage = Outage(f"{spec}: {reason}", state)


class Target:
    """A device string, looked up anew at every opening: card numbers change with a replug.

    The card that was opened first is remembered (`remember`); another one in its place is
    refused.
    """

    def __init__(self, spec: DeviceSpec, cards: Cards) -> None:
        self._spec = spec
        self._cards = cards
        self._known: Card | None = None

    def find_card(self) -> Card | None:
        """Return the sound card, where the kernel shows one for such a string.

        Raises:
            DeviceUnavailableError: it is not there, or another one is in its place.

        """
        if self._spec.kind not in _CARD_KINDS:
            return None
        try:
            card = self._cards.find(self._spec)
        except NoCardError as error:
            if self._is_number:
                return None  # a configured PCM may bear this number
            raise DeviceUnavailableError(self._spec, str(error)) from error
        if self._known and card.identity != self._known.identity:
            raise DeviceUnavailableError(
                self._spec,
                f"{card.name} ({card.id}) is there instead of the {self._known.name} "
                f"({self._known.id}) heard before: plug that in, or restart to hear this one",
                MicrophoneState.FAULT,
            )
        return card

    def remember(self, card: Card | None) -> None:
        """Accept no other card from now on."""
        self._known = self._known or card

    def request(self, card: Card | None) -> dict[str, object]:
        """Return which of PortAudio's devices the capture child shall open."""
        match self._spec.kind:
            case DeviceKind.PULSE:
                return {"name": "pulse"}
            case DeviceKind.DEFAULT:
                return {"name": "default"}
            case DeviceKind.NAME:
                return {"name": self._spec.name}
            case _:
                return {"hw": [card.number if card else int(self._spec.name), self._pcm(card)]}

    def is_open_in(self, card: Card | None, pid: int) -> bool:
        """Return whether this very process holds the card, so that nothing stands between."""
        if card is None:
            return False
        holder = self._cards.holder(card.number, self._pcm(card))
        return holder is not None and holder.pid == pid

    def why_not(self, error: ChildEndedError) -> DeviceUnavailableError:
        """Explain why the capture child could not open it."""
        if not error.absent:
            return DeviceUnavailableError(self._spec, str(error), MicrophoneState.FAULT)
        if self._spec.kind in _CARD_KINDS:
            with contextlib.suppress(NoCardError):
                card = self._cards.find(self._spec)
                holder = self._cards.holder(card.number, self._pcm(card))
                if holder and holder.parent == os.getpid():
                    reason = (
                        "busy: another machine hears this device by another name: write the "
                        "same device for both, each with its channel"
                    )
                    return DeviceUnavailableError(self._spec, reason, MicrophoneState.FAULT)
                if holder:
                    reason = f"busy: {holder} has it open: end that first"
                    return DeviceUnavailableError(self._spec, reason, MicrophoneState.FAULT)
        if self._cards.forbidden:
            reason = "no permission for /dev/snd: add this user to the group audio"
            return DeviceUnavailableError(self._spec, reason, MicrophoneState.FAULT)
        return DeviceUnavailableError(self._spec, str(error))

    @property
    def _is_number(self) -> bool:
        return self._spec.kind is DeviceKind.HW and self._spec.name.isdigit()

    def _pcm(self, card: Card | None) -> int | None:
        if self._spec.pcm is None and card and len(card.pcms) > 1:
            return card.pcms[0].number  # a card alone means its first input
        return self._spec.pcm
