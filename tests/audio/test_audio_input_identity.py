"""Identity of an input without a sound server; with one see the tests of microphones."""

import pytest

from asd_monitor.audio.capture.child_process import CaptureChild, ChildEndedError
from asd_monitor.audio.capture.child_protocol import CaptureRequest
from asd_monitor.audio.capture.input_identity import InputIdentity
from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.devices.sound_server import ServerSource, SoundServer
from asd_monitor.records import MicrophoneState


@pytest.fixture
def no_server(monkeypatch, tmp_path):
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nothing")
    return Cards(tmp_path)


def identity(cards: Cards, device: str) -> InputIdentity:
    return InputIdentity(parse_device(device), cards, lambda _: None)


async def test_source_without_a_sound_server_is_reported_as_such(no_server):
    of_pulse = identity(no_server, "pulse:fan")
    outage = (await of_pulse.explain(ChildEndedError("No such device", absent=True))).outage
    of_pulse.close()
    assert outage.state is MicrophoneState.NO_DEVICE
    assert "start PulseAudio or PipeWire" in outage.reason


async def test_input_without_a_sound_server_needs_no_verification(no_server):
    of_card = identity(no_server, "hw:1")
    assert await of_card.verify(1, None) is None
    of_card.close()


def test_request_repeats_the_format_of_the_first_opening(no_server):
    of_card = identity(no_server, "hw:1")
    assert of_card.request(None, {1, 0}).rate_hz is None
    of_card.pin(None, None, 44100)
    request = of_card.request(None, {1, 0})
    assert (request.hw, request.wanted, request.rate_hz) == ((1, None), (0, 1), 44100)


async def test_a_source_that_alsa_does_not_reach_names_the_plugin(no_server, monkeypatch):
    child = await CaptureChild.start(CaptureRequest(name="pulse"), {})  # not offered by ALSA
    with pytest.raises(ChildEndedError) as ended:
        await child.frames(10.0)
    await child.end(1.0)
    of_pulse = identity(no_server, "pulse:fan")

    async def sources(_: SoundServer) -> list[ServerSource]:
        return [ServerSource("fan", "Fan", 48000, 1)]

    monkeypatch.setattr(SoundServer, "sources", sources)
    reason = (await of_pulse.explain(ended.value)).outage.reason
    of_pulse.close()
    assert "`apt install libasound2-plugins`" in reason
    assert "plug it in" not in reason
