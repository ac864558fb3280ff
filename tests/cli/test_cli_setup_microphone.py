"""The choice of a microphone by its sound, in a dialogue."""

import io
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.inputs import AudioInput, InputListing
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.cli import setup_microphone
from asd_monitor.cli.setup_dialogue import Dialogue, InputEndedError
from asd_monitor.cli.setup_listening import (
    ListenedChannel,
    channel_table,
    channels_of,
    channels_of_device,
    further_channels,
)
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.records import Block, MicrophoneState, Stream

RATE_HZ = 16_000


def sounding(device: str, level: float, channel: int = 0, channels: int = 1) -> ListenedChannel:
    own = ListenedChannel(parse_device(device), "USB Mic", channel)
    noise = np.random.default_rng(channel).normal(0, level, 2 * RATE_HZ).astype(np.float32)
    stream = Stream(RATE_HZ)
    own.opened(Opened(stream, channels, "USB Mic"))
    own.write(Block(stream, 0, noise))
    return own


def absent(device: str) -> ListenedChannel:
    own = ListenedChannel(parse_device(device), "", 0)
    own.interrupted(Outage("in use by process 7 (arecord): end it", MicrophoneState.NO_DEVICE))
    return own


@pytest.fixture
def choose(monkeypatch, capsys):
    """Return a function that answers questions about these channels, and what was printed."""

    def choose(channels: Sequence[ListenedChannel], *answers: str) -> tuple[str, str]:
        monkeypatch.setattr(setup_microphone, "find_inputs", lambda: InputListing((), ()))
        monkeypatch.setattr(setup_microphone, "channels_of", lambda _: list(channels))
        monkeypatch.setattr(setup_microphone, "listen", lambda *_: None)
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{each}\n" for each in answers)))
        spec = setup_microphone.choose_microphone(None, Dialogue(interactive=True))
        return str(spec), capsys.readouterr().err

    return choose


def test_the_only_channel_with_sound_is_the_default(choose):
    device = "usb-path:1-1.4"
    channels = [sounding(device, 1e-6, 0, 2), sounding(device, 0.05, 1, 2), absent("hw:3")]
    spec, shown = choose(channels, "")
    assert spec == "usb-path:1-1.4#1"
    assert "very quiet" in shown
    assert "hw:3: in use by process 7 (arecord): end it" in shown


def test_a_wrong_number_is_asked_again_and_r_listens_again(choose):
    spec, shown = choose(
        [sounding("card-id:A", 0.05), sounding("card-id:B", 0.05)], "", "9", "r", "2"
    )
    assert spec == "card-id:B"
    assert "write a number from 1 to 2" in shown
    assert shown.count("Which one") == 4


def test_a_channel_with_a_defect_is_confirmed(choose):
    loud = sounding("card-id:A", 3.0)
    spec, shown = choose([loud, sounding("card-id:B", 0.05)], "1", "n", "1", "yes")
    assert spec == "card-id:A"
    assert shown.count("clipping") == 4  # in the table and as a warning, twice


def test_a_number_of_a_card_is_warned_of(choose):
    spec, shown = choose([sounding("hw:7", 0.05)], "")
    assert spec == "hw:7"
    assert "another microphone after a restart" in shown


def test_the_end_of_the_input_ends_the_dialogue(choose):
    with pytest.raises(InputEndedError):
        choose([sounding("card-id:A", 0.05), sounding("card-id:B", 0.05)], "r")


def test_without_a_microphone_there_is_nothing_to_choose(choose):
    with pytest.raises(OperationError, match="connect one"):
        choose([])


def test_a_channel_that_the_device_lacks_is_not_shown():
    lacking = ListenedChannel(parse_device("hw:1"), "", 1)
    lacking.interrupted(Outage("no channel 1", MicrophoneState.FAULT))
    assert channel_table([sounding("hw:1", 0.05), lacking]).row_count == 1


def test_each_channel_of_each_input_is_listened_to():
    inputs = [
        AudioInput("usb-path:1-1.4", "hw:1,0", "Stereo", (2,), (48_000,), None),
        AudioInput("card-id:Mono", "hw:2,0", "Mono", (1,), (48_000,), None),
        AudioInput("card-id:Many", "hw:3,0", "Many", (1, 64), (48_000,), None),
    ]
    texts = [each.text for each in channels_of(inputs)]
    assert texts[:4] == ["usb-path:1-1.4", "usb-path:1-1.4#1", "card-id:Mono", "card-id:Many"]
    assert len(texts) == 2 + 1 + 8


def test_every_channel_of_a_device_is_shown_once_it_is_open():
    channels = channels_of_device(parse_device("hw:1#9"))
    assert [each.channel for each in channels] == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert channel_table(channels).row_count == 1  # its own, while nothing is known of the others
    for each in channels:
        each.opened(Opened(Stream(RATE_HZ), 6, "six"))
    assert channel_table(channels).row_count == 6
    assert list(further_channels(channels)) == []
    for each in channels:
        each.opened(Opened(Stream(RATE_HZ), 12, "twelve"))
    [further] = further_channels(channels)
    assert further.endswith("name a later one with --device hw:1#8")


def test_a_question_without_an_answer_is_an_error_where_nobody_is_asked():
    dialogue = Dialogue(interactive=False)
    assert dialogue.ask("How many?", "3", int) == 3
    assert not dialogue.confirm("Sure?", default=False)
    with pytest.raises(UsageError, match="give it by its option"):
        dialogue.ask("Which?", None, str)


@pytest.fixture
def given(monkeypatch):
    """Return a function: what the first of some channels, given without questions, is taken for."""

    def given(*channels: ListenedChannel) -> str:
        monkeypatch.setattr(setup_microphone, "channels_of_device", lambda _: list(channels))
        monkeypatch.setattr(setup_microphone, "listen_to_recording", lambda _: list(channels))
        monkeypatch.setattr(setup_microphone, "listen", lambda *_: None)
        own = channels[0].text
        return str(setup_microphone.choose_microphone(own, Dialogue(interactive=False)))

    return given


def test_a_silent_channel_is_refused_where_nobody_is_asked(given):
    device = "card-id:A"
    silent, fine, clipping = (
        sounding(device, level, channel, 3) for channel, level in enumerate((0.0, 0.05, 3.0))
    )
    with pytest.raises(OperationError, match="card-id:A is silent") as refused:
        given(silent, fine, clipping)
    assert "it has sound with --device 'card-id:A#1' (-26 dBFS); " in str(refused.value)
    with pytest.raises(OperationError, match="no other channel has sound"):
        given(silent, clipping)
    assert given(fine) == "card-id:A#1"


def test_a_channel_that_always_clips_is_refused_where_nobody_is_asked(given):
    with pytest.raises(OperationError, match="clips all the time"):
        given(sounding("card-id:A", 3.0))


def test_a_recording_that_begins_with_silence_is_not_refused(given):
    silent = sounding("file:/a.wav", 0.0, 0, 2)
    assert given(silent) == "file:/a.wav"
    with pytest.raises(OperationError, match="it has sound with --device 'file:/a"):
        given(silent, sounding("file:/a.wav", 0.05, 1, 2))


def test_a_microphone_that_is_not_there_yet_is_taken_as_it_is_given(given):
    assert given(absent("card-id:A")) == "card-id:A"
