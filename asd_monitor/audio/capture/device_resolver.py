"""From a device string to the sound card that it names now, and why it cannot be opened."""

from __future__ import annotations

import contextlib
import os

from asd_monitor.audio.capture.child_process import ChildEndedError
from asd_monitor.audio.capture.child_protocol import CaptureRequest
from asd_monitor.audio.devices.cards import Card, CardNotFoundError, Cards
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.audio.devices.remedies import NO_PERMISSION
from asd_monitor.audio.source import Outage
from asd_monitor.records import MicrophoneState

_CARD_KINDS = (DeviceKind.HW, DeviceKind.CARD_ID, DeviceKind.USB_PATH, DeviceKind.USB_ID)
_FAULT = MicrophoneState.FAULT


class DeviceUnavailableError(Exception):
    """The device delivers no sound now; `outage` has the reason and the remedy."""

    def __init__(
        self, spec: DeviceSpec, reason: str, state: MicrophoneState = MicrophoneState.NO_DEVICE
    ) -> None:
        super().__init__(reason)
        self.outage = Outage(f"{spec}: {reason}", state)


class DeviceResolver:
    """Resolves a device string at every opening, since card numbers change with a replug.

    After `pin`, another card in the place of the first one is refused.
    """

    def __init__(self, spec: DeviceSpec, cards: Cards) -> None:
        self._spec = spec
        self._cards = cards
        self._pinned: Card | None = None

    def find_card(self) -> Card | None:
        """Return the sound card; None for a device string that does not name a card.

        Raises:
            DeviceUnavailableError: the card is absent, or another one is in its place.

        """
        if self._spec.kind not in _CARD_KINDS:
            return None
        try:
            card = self._cards.find(self._spec)
        except CardNotFoundError as error:
            if self._is_number:
                return None  # the number may be that of a configured PCM
            raise DeviceUnavailableError(self._spec, str(error)) from error
        if self._pinned and card.identity != self._pinned.identity:
            raise DeviceUnavailableError(
                self._spec,
                f"found {card.name} ({card.id}) instead of the {self._pinned.name} "
                f"({self._pinned.id}) used before: plug that in, or restart to use this one",
                _FAULT,
            )
        return card

    def pin(self, card: Card | None) -> None:
        """Accept this card only from now on; the first card pinned remains."""
        self._pinned = self._pinned or card

    def request(self, card: Card | None) -> CaptureRequest:
        """Return the request to open the device, on this card if there is one."""
        match self._spec.kind:
            case DeviceKind.PULSE:
                return CaptureRequest(name="pulse")
            case DeviceKind.DEFAULT:
                return CaptureRequest(name="default")
            case DeviceKind.NAME:
                return CaptureRequest(name=self._spec.name)
            case _:
                number = card.number if card else int(self._spec.name)
                return CaptureRequest(hw=(number, self._pcm(card)))

    def is_opened_by(self, pid: int, card: Card | None) -> bool:
        """Return whether this process has the card itself open, without a sound server between."""
        if card is None:
            return False
        holder = self._cards.holder(card.number, self._pcm(card))
        return holder is not None and holder.pid == pid

    def explain(self, error: ChildEndedError) -> DeviceUnavailableError:
        """Return why the capture child could not open the device."""
        if not error.absent:
            return DeviceUnavailableError(self._spec, str(error), _FAULT)
        if self._spec.kind in _CARD_KINDS:
            with contextlib.suppress(CardNotFoundError):
                card = self._cards.find(self._spec)
                holder = self._cards.holder(card.number, self._pcm(card))
                if holder and holder.parent == os.getpid():
                    reason = (
                        "busy: another machine uses this device under another name: write the "
                        "same device for both machines, each with its channel"
                    )
                    return DeviceUnavailableError(self._spec, reason, _FAULT)
                if holder:
                    reason = f"busy: {holder} has it open: end that process first"
                    return DeviceUnavailableError(self._spec, reason, _FAULT)
        if self._cards.access_denied:
            return DeviceUnavailableError(self._spec, NO_PERMISSION, _FAULT)
        return DeviceUnavailableError(self._spec, str(error))

    @property
    def _is_number(self) -> bool:
        return self._spec.kind is DeviceKind.HW and self._spec.name.isdigit()

    def _pcm(self, card: Card | None) -> int | None:
        if self._spec.pcm is None and card and len(card.pcms) > 1:
            return card.pcms[0].number  # a card without PCM means its first input
        return self._spec.pcm
