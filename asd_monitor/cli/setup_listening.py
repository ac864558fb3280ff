"""Listens to microphones for `setup`: levels, spectra and taps of all channels, side by side."""

from __future__ import annotations

import asyncio
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.devices.sound_server import SoundServer
from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.audio.inputs import AudioInput, InputListing, list_inputs
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.terminal_abilities import moves_cursor
from asd_monitor.guided_setup.channel_trial import SETTLED_S, ChannelSound, ChannelTrial, reacting
from asd_monitor.records import Block, MicrophoneState
from asd_monitor.wording import shortened

LISTEN_S = 4.0
"""Without a question, each microphone is listened to for this time."""
_FILE_S = 20.0  # of a recording
_MAX_CHANNELS = 8  # of one device
_MAX_ROWS = 64
_OPEN_LIMIT_S = 10.0
_REFRESH_S = 0.15
_BAR_CELLS = 12
_MIN_DBFS, _MIN_BAND_DBFS = -80.0, -110.0
_NAME_CHARS = 22
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class ListenedChannel:
    """One channel that is listened to; a receiver of its blocks."""

    device: DeviceSpec  # without channel
    name: str
    channel: int
    channels: int | None = None  # of the device; None: not open yet
    problem: str | None = None
    trial: ChannelTrial | None = None
    is_sure: bool = True  # that the device has it; otherwise it is shown once the device is open
    _rate_hz: int = field(default=0)

    @property
    def text(self) -> str:
        """The device string of the channel."""
        spec = replace(self.device, channel=self.channel or None)
        return str(spec)

    @property
    def exists(self) -> bool:
        """Whether the device has the channel, as far as it is known."""
        return self.is_sure if self.channels is None else self.channel < self.channels

    @property
    def has_answered(self) -> bool:
        """Whether there is enough sound, or a reason why there is none."""
        settled = self.trial is not None and self.trial.seconds >= SETTLED_S
        return settled or self.problem is not None or not self.exists

    def sound(self) -> ChannelSound | None:
        """Return what was captured so far; None: not enough."""
        found = None if self.trial is None else self.trial.sound()
        return found if found is not None and found.is_settled else None

    def opened(self, opened: Opened) -> None:
        """Take note of the opening."""
        self.channels, self.problem = opened.channels, None
        if opened.rate_hz != self._rate_hz:
            self._rate_hz, self.trial = opened.rate_hz, ChannelTrial(self.channel, opened.rate_hz)

    def write(self, block: Block) -> None:
        """Listen to a block."""
        if self.trial is not None and len(block.samples):
            self.trial.push(block.samples)

    def interrupted(self, outage: Outage) -> None:
        """Take note of why there is no sound."""
        self.problem = outage.reason
        if outage.state is MicrophoneState.FAULT and self.channel:
            self.channels = self.channels or self.channel  # a device without this channel

    async def room(self, samples: int) -> None:
        """Return at once."""


def find_inputs() -> InputListing:
    """Return the inputs worth listening to: cards; where there is none, what else there is."""
    listing = asyncio.run(_list())
    cards = [each for each in listing.inputs if each.hw is not None]
    server = [each for each in listing.inputs if each.device.startswith("pulse:")]
    return replace(listing, inputs=tuple(cards or server or listing.inputs))


async def _list() -> InputListing:
    server = SoundServer()
    try:
        return await list_inputs(Cards(), server)
    finally:
        server.close()


def channels_of(inputs: Sequence[AudioInput]) -> list[ListenedChannel]:
    """Return the channels of inputs, `_MAX_ROWS` at most."""
    channels = []
    for each in inputs:
        spec = parse_device(each.device)
        sure = max(each.channels, default=1)
        number = min(_MAX_CHANNELS, sure) if each.channels else _MAX_CHANNELS
        channels += [
            ListenedChannel(spec, each.name, channel, is_sure=channel < sure)
            for channel in range(number)
        ]
    return channels[:_MAX_ROWS]


def channels_of_device(spec: DeviceSpec) -> list[ListenedChannel]:
    """Return the channels of one device, `_MAX_CHANNELS` and its own; it may have fewer."""
    own = spec.channel or 0
    device = replace(spec, channel=None)
    return [
        ListenedChannel(device, "", channel, is_sure=channel == own)
        for channel in sorted({*range(_MAX_CHANNELS), own})
    ]


def further_channels(channels: Sequence[ListenedChannel]) -> Iterator[str]:
    """Yield what is not listened to: the later channels of a device that has many."""
    number = {each.device: each.channels for each in channels if each.channels is not None}
    for device, has in number.items():
        if has > _MAX_CHANNELS:
            yield (
                f"{device} has {has} channels, of which the first {_MAX_CHANNELS} are listened "
                f"to: name a later one with --device {replace(device, channel=_MAX_CHANNELS)}"
            )


def listen_to_recording(spec: DeviceSpec) -> list[ListenedChannel]:
    """Return the channels of a recording, or of the first of a folder, with its first seconds.

    Raises:
        UsageError, OperationError: it cannot be read.

    """
    device = replace(spec, channel=None)
    path = find_recordings(spec.path)[0]
    channels = []
    number = 0
    while True:
        with RecordingReader(path, number) as reader:
            listened = ListenedChannel(device, path.name, number, channels=reader.channels)
            listened.trial = ChannelTrial(number, reader.rate_hz)
            for block in reader.blocks():
                listened.write(block)
                if listened.trial.seconds >= _FILE_S:
                    break
            channels.append(listened)
            number += 1
            if number >= min(reader.channels, _MAX_CHANNELS):
                return channels


def listen(channels: Sequence[ListenedChannel], dialogue: Dialogue) -> None:
    """Listen until Enter is pressed; without questions for `LISTEN_S`."""
    with _without_echo() if dialogue.interactive else nullcontext():
        asyncio.run(_listen(channels, dialogue))


async def _listen(channels: Sequence[ListenedChannel], dialogue: Dialogue) -> None:
    sources = _sources(channels)
    running = [
        asyncio.create_task(source.run(receiver), name=f"listen {receiver.text}")
        for receiver, source in sources
    ]
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()
    if dialogue.interactive:
        loop.add_reader(sys.stdin.fileno(), _read_enter, entered)
    live = Live(console=dialogue.console, auto_refresh=False, transient=True)
    is_live = moves_cursor(sys.stderr)
    if not is_live:
        dialogue.console.print(_hint(dialogue))
    begun_s = loop.time()
    try:
        with live if is_live else nullcontext():
            while not _is_done(channels, entered, loop.time() - begun_s, dialogue):
                await asyncio.sleep(_REFRESH_S)
                if is_live:  # the hint first: a low terminal shows the beginning
                    live.update(Group(_hint(dialogue), channel_table(channels)), refresh=True)
    finally:
        if dialogue.interactive:
            loop.remove_reader(sys.stdin.fileno())
        await asyncio.gather(*(source.close() for _, source in sources))
        await asyncio.wait(running)
    for task in running:
        task.result()


def _sources(
    channels: Sequence[ListenedChannel],
) -> list[tuple[ListenedChannel, ChannelSource]]:
    """Return a source for each channel; each device is opened once."""
    devices: dict[DeviceSpec, SharedDevice] = {}
    sources = []
    for each in channels:
        if each.device not in devices:
            devices[each.device] = SharedDevice(each.device, _opener(each.device))
        device = devices[each.device]
        device.expected_channels |= {each.channel}
        spec = replace(each.device, channel=each.channel)
        sources.append((each, ChannelSource(device, spec)))
    return sources


def _opener(spec: DeviceSpec) -> Callable[[], Microphone]:
    return lambda: Microphone(spec, notice=lambda _: None)


def _is_done(
    channels: Sequence[ListenedChannel], entered: asyncio.Event, seconds: float, dialogue: Dialogue
) -> bool:
    if not all(each.has_answered for each in channels) and seconds < _OPEN_LIMIT_S:
        return False
    return entered.is_set() if dialogue.interactive else seconds >= LISTEN_S


def _read_enter(entered: asyncio.Event) -> None:
    sys.stdin.readline()
    entered.set()


@contextmanager
def _without_echo() -> Iterator[None]:
    """Show nothing that is typed meanwhile: it would move the display."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    changed = [*before]
    changed[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _hint(dialogue: Dialogue) -> Text:
    if not dialogue.interactive:
        return Text("listening …", "dim")
    return Text("Tap on the machine: one reacts.  Then press Enter.", "bold")


def channel_table(channels: Sequence[ListenedChannel]) -> Table:
    """Return level, octave bands and reaction of each channel that exists."""
    shown = [each for each in channels if each.exists]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "device", "level", "", "31 Hz…8 kHz", ""):
        table.add_column(heading, no_wrap=heading != "")
    sounds = [each.sound() for each in shown]
    tapped = reacting(sounds)
    for number, (each, sound) in enumerate(zip(shown, sounds, strict=True)):
        table.add_row(
            str(number + 1),
            Text(each.text, "bold" if number == tapped else ""),
            _bar(each),
            Text("" if sound is None else f"{sound.levels.rms_dbfs:4.0f} dBFS"),
            Text("" if sound is None else _octave_bars(sound), "cyan"),
            _note(each, sound, is_tapped=number == tapped),
        )
    return table


def _bar(channel: ListenedChannel) -> Text:
    newest = None if channel.trial is None else channel.trial.newest_dbfs
    share = 0.0 if newest is None else (newest - _MIN_DBFS) / -_MIN_DBFS
    cells = round(_BAR_CELLS * min(1.0, max(0.0, share)))
    return Text("█" * cells, "green").append("·" * (_BAR_CELLS - cells), "dim")


def _octave_bars(sound: ChannelSound) -> str:
    steps = len(_BLOCKS) - 1
    heights = [(band.level_dbfs - _MIN_BAND_DBFS) / -_MIN_BAND_DBFS for band in sound.octaves]
    return "".join(_BLOCKS[round(steps * min(1.0, max(0.0, each)))] for each in heights)


def _note(channel: ListenedChannel, sound: ChannelSound | None, *, is_tapped: bool) -> Text:
    if channel.problem is not None:
        return Text("no sound", "red")  # the reason follows the table
    if sound is None:
        return Text("opening …", "dim")
    found = (
        (is_tapped, "◀ reacts", "bold green"),
        (sound.levels.is_dead, "dead: constant samples", "red"),
        (sound.levels.is_clipping, "clipping", "red"),
        (sound.is_silent, "very quiet", "yellow"),
        (sound.hum is not None, "hum of the mains", "yellow"),
        (True, shortened(channel.name, _NAME_CHARS), "dim"),
    )
    return next(Text(text, style) for applies, text, style in found if applies)
