"""Identity of the input behind a device string, pinned when it is first opened.

After a replug, an ``hw:`` number may be another card, and a sound server may route the stream to
another microphone.  The card or the sound server's source of the first opening is pinned, with its
sample rate and its number of channels.  While only another input is available, the device counts as
unavailable: the wrong machine is never monitored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from asd_monitor.audio.capture.child_process import ChildEndedError
from asd_monitor.audio.capture.child_protocol import CaptureRequest, StreamFormat
from asd_monitor.audio.capture.device_resolver import DeviceResolver, DeviceUnavailableError
from asd_monitor.audio.capture.routing_watch import RoutingWatch
from asd_monitor.audio.devices.cards import Card, Cards
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.audio.devices.remedies import no_channel, not_found
from asd_monitor.audio.devices.sound_server import (
    NoSoundServerError,
    ServerSource,
    SoundServer,
    SoundServerQueryError,
)
from asd_monitor.records import MicrophoneState

_FAULT = MicrophoneState.FAULT


class InputIdentity:
    """The input that a stream must come from; `close` ends the queries to the sound server."""

    def __init__(self, spec: DeviceSpec, cards: Cards, notice: Callable[[str], None]) -> None:
        """``notice`` is called with a line for the user if the routing cannot be verified."""
        self.spec = spec
        self.channels: int | None = None
        """Channels of the sound server's source; None: no sound server is between."""
        self._notice = notice
        self._resolver = DeviceResolver(spec, cards)
        self._server = SoundServer()
        self._source_name = spec.name if spec.kind is DeviceKind.PULSE else None
        self._rate_hz: int | None = None
        self._is_pinned = False
        self._has_noticed = False

    def find_card(self) -> Card | None:
        """Return the sound card to open; see `DeviceResolver.find_card`."""
        return self._resolver.find_card()

    def request(self, card: Card | None, wanted: Collection[int]) -> CaptureRequest:
        """Return the request to open the input as before."""
        request = self._resolver.request(card)
        return request._replace(
            wanted=tuple(sorted(wanted)), rate_hz=self._rate_hz, channels=self.channels
        )

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the capture child."""
        # libpulse uses this source or none, unless the PCM itself names one
        return {"PULSE_SOURCE": self._source_name} if self._source_name else {}

    async def verify(self, pid: int, card: Card | None) -> ServerSource | None:
        """Return the sound server's source that the capture child ``pid`` records from.

        None: the child has the card itself open, or there is no sound server.

        Raises:
            DeviceUnavailableError: it is not the pinned source, or this cannot be verified.

        """
        if self._resolver.is_opened_by(pid, card):
            return None
        try:
            source = await self._server.source_of_process(pid)
        except NoSoundServerError as error:
            if self._is_pinned and self._source_name:
                raise self._unverified(error) from error
            if self.spec.kind in (DeviceKind.PULSE, DeviceKind.DEFAULT):
                self._notice_unverified(error)
            return None
        except SoundServerQueryError as error:
            raise self._unverified(error) from error
        if source and self._source_name not in (None, source.name):
            raise self.mismatch(source)
        return source

    def adopt_format(
        self, source: ServerSource, opened: StreamFormat, wanted: Collection[int]
    ) -> bool:
        """Take over the source's own format; return whether the input must be opened again for it.

        The sound server converts to any other format, which changes the sound.

        Raises:
            DeviceUnavailableError: the source has none of the wanted channels.

        """
        if self._rate_hz is not None or self.channels is not None:
            return False
        if min(wanted) >= source.channels:
            raise DeviceUnavailableError(self.spec, no_channel(wanted, source.channels), _FAULT)
        self.channels = source.channels
        if (opened.rate_hz, opened.channels) == (source.rate_hz, source.channels):
            return False
        self._rate_hz = source.rate_hz
        return True

    def pin(self, card: Card | None, source: ServerSource | None, rate_hz: int) -> None:
        """Accept only this input from now on, at this rate."""
        self._resolver.pin(card)
        self._rate_hz = rate_hz
        self._source_name = source.name if source else self._source_name
        self._is_pinned = True

    def watch(self, pid: int, source: ServerSource) -> RoutingWatch:
        """Return a watch on the routing of the child's stream."""
        return RoutingWatch(self._server, pid, source.name)

    def mismatch(self, source: ServerSource) -> DeviceUnavailableError:
        """Return the error for a stream that comes from another source."""
        reason = (
            f"the sound server delivers {source.name} ({source.description}) instead of "
            f"{self._source_name}: plug that in, or restart to use this one"
        )
        return DeviceUnavailableError(self.spec, reason, _FAULT)

    async def explain(self, error: ChildEndedError) -> DeviceUnavailableError:
        """Return why the capture child could not open the input."""
        if self.spec.kind is not DeviceKind.PULSE or not error.absent:
            return self._resolver.explain(error)
        try:
            names = [source.name for source in await self._server.sources()]
        except SoundServerQueryError as failure:
            reason = f"{failure}: start PulseAudio or PipeWire for this user ({error})"
            return DeviceUnavailableError(self.spec, reason)
        if self.spec.name in names:  # the server has it, so no card and no permission is missing
            return DeviceUnavailableError(self.spec, str(error))
        others = [f"pulse:{name}" for name in names if not name.endswith(".monitor")]
        return DeviceUnavailableError(self.spec, not_found(others))

    def close(self) -> None:
        """End the connection to the sound server; pending queries fail at once."""
        self._server.close()

    def _unverified(self, error: SoundServerQueryError) -> DeviceUnavailableError:
        reason = f"cannot verify which microphone delivers the sound: {error}"
        return DeviceUnavailableError(self.spec, reason, _FAULT)

    def _notice_unverified(self, error: NoSoundServerError) -> None:
        if not self._has_noticed and not self._server.has_library:
            self._has_noticed = True
            self._notice(
                f"{self.spec}: a move of the stream to another microphone is not detected: {error}"
            )
