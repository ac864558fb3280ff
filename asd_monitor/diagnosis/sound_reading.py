"""Facts of the sound of this computer."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from asd_monitor.audio.devices.cards import Card, CardNotFoundError, Cards, Holder, stable_name
from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.inputs import InputListing
from asd_monitor.config.machine_settings import Machine
from asd_monitor.diagnosis.capture_trial import Trial
from asd_monitor.diagnosis.presence import CARD_KINDS, absence, list_inputs_now
from asd_monitor.diagnosis.service import ServiceFacts
from asd_monitor.diagnosis.sound import DeviceFacts, DeviceNode, SoundFacts

_PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"
_LIBRARIES = ("usr/lib/*/", "usr/lib/", "usr/lib64/")

TryDevice = Callable[[DeviceSpec, Path], Trial]
"""Device with channel, state folder → what it delivers."""


class SoundReader:
    """Reads the sound cards and inputs, and tries the devices of machines.

    Args:
        state: the state folder, whose daemon may have devices open.
        service: the service; None: there is none.
        daemon_runs: whether a daemon uses the state folder.
        try_device: captures some seconds.
        list_inputs: queries PortAudio and the sound server.
        root: below it are /proc, /sys and /dev.

    """

    def __init__(
        self,
        state: Path,
        service: ServiceFacts | None,
        *,
        daemon_runs: bool,
        try_device: TryDevice,
        list_inputs: Callable[[Cards], InputListing] = list_inputs_now,
        root: Path = Path("/"),
    ) -> None:
        self._state = state
        self._service = service
        self._daemon_runs = daemon_runs
        self._try_device = try_device
        self._list_inputs = list_inputs
        self._root = root
        self._cards = Cards(root)

    def read(self, machines: Mapping[str, Machine]) -> SoundFacts:
        """Return the facts; takes some seconds for each machine."""
        cards = self._cards.all()
        listing = self._list_inputs(self._cards)
        service = self._service
        return SoundFacts(
            cards=tuple(stable_name(card, cards) for card in cards),
            inputs=len(listing.inputs),
            problems=listing.problems,
            nodes=tuple(_nodes(self._root / "dev/snd")),
            has_pulse_plugin=any(
                True for each in _LIBRARIES for _ in self._root.glob(each + _PLUGIN)
            ),
            has_server=any(each.device.startswith("pulse:") for each in listing.inputs),
            devices=tuple(self._devices(machines, listing)),
            service_groups=None if service is None else service.groups,
            service_is_root=service is not None and service.process_uid == 0,
        )

    def _devices(
        self, machines: Mapping[str, Machine], listing: InputListing
    ) -> Iterator[DeviceFacts]:
        specs = {name: parse_device(each.device_text) for name, each in machines.items()}
        for device in dict.fromkeys(replace(spec, channel=None) for spec in specs.values()):
            users = {
                name: spec for name, spec in specs.items() if replace(spec, channel=None) == device
            }
            yield self._device(device, users, listing)

    def _device(
        self, device: DeviceSpec, users: Mapping[str, DeviceSpec], listing: InputListing
    ) -> DeviceFacts:
        card = self._card(device)
        holder = None if card is None else self._cards.holder(card.number, device.pcm)
        held_by_daemon = holder is not None and self._is_daemon(holder)
        missing = absence(device, self._cards, listing.inputs)
        trials: list[tuple[str, Trial]] = []
        if missing is None and (holder is None or held_by_daemon):
            trials = [(name, self._try_device(spec, self._state)) for name, spec in users.items()]
        return DeviceFacts(
            spec=device,
            machines=tuple(users),
            absence=missing,
            holder=holder,
            held_by_daemon=held_by_daemon,
            trials=tuple(trials),
            autosuspend=None if card is None else self._autosuspend(card),
        )

    def _card(self, device: DeviceSpec) -> Card | None:
        if device.kind not in CARD_KINDS:
            return None
        try:
            return self._cards.find(device)
        except CardNotFoundError:
            return None

    def _is_daemon(self, holder: Holder) -> bool:
        """Return whether the process is a capture process of the daemon on this state folder."""
        if not self._daemon_runs:
            return False
        parent = self._root / f"proc/{holder.parent}/cmdline"
        try:
            command = parent.read_bytes().replace(b"\0", b" ")
        except OSError:
            return False
        pid = None if self._service is None else self._service.pid
        return holder.parent == pid if pid is not None else b"asd" in command and b" run" in command

    def _autosuspend(self, card: Card) -> str | None:
        if card.usb_path is None:
            return None
        folder = self._root / "sys/bus/usb/devices" / card.usb_path
        try:
            control = (folder / "power/control").read_text().strip()
        except OSError:
            return None
        return str(folder) if control == "auto" else None


def _nodes(folder: Path) -> Iterator[DeviceNode]:
    for path in sorted(folder.glob("pcm*c")):
        try:
            status = path.stat()
        except OSError:
            continue
        yield DeviceNode(
            str(path),
            _group(status.st_gid),
            os.access(path, os.R_OK),
            bool(status.st_mode & stat.S_IRGRP),
        )


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
