"""Device strings: exact, reversible, never by substring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.devices.device_strings import DeviceKind, parse_device
from asd_monitor.audio.devices.portaudio_names import match_hw, match_name
from asd_monitor.errors import UsageError

NAMES = [
    "USB: Audio (hw:10,0)",
    "USB: Audio (hw:1,0)",
    "HDA: Alt (hw:2,0)",
    "HDA (hw:2,1)",
    "default",
]


@pytest.mark.parametrize(
    "text",
    [
        "hw:1",
        "hw:1,0",
        "hw:CARD=Device,DEV=0",
        "hw:CARD=Device",
        "card-id:press3",
        "usb-path:1-1.4",
        "usb-path:3-2",
        "usb-id:0d8c:0014",
        "usb-id:0d8c:0014:A0:1",
        "pulse:alsa_input.usb-C-Media.mono-fallback",
        "name:USB Audio: #1 (hw:1,0)",
        "default",
        "file:/var/lib/a b.flac",
        "file:rec?loop",
    ],
)
@pytest.mark.parametrize("channel", ["", "#0", "#7"])
def test_device_string_is_formatted_as_parsed(text, channel):
    spec = parse_device(text + channel)
    assert str(spec) == text + channel
    assert spec.channel == (int(channel[1:]) if channel else None)


def test_equivalent_forms_are_equal():
    assert parse_device("hw:CARD=1,DEV=0") == parse_device("hw:1,0") == parse_device("hw:01,0")
    assert parse_device("hw:Device,0") == parse_device("hw:CARD=Device,DEV=0")
    assert parse_device("usb-id:0D8C:0014") == parse_device("usb-id:0d8c:0014")


def test_recording_may_loop():
    spec = parse_device("file:~/rec?loop#1")
    assert (spec.kind, spec.loop, spec.channel) == (DeviceKind.FILE, True, 1)
    assert spec.path.is_absolute()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("1", "write hw:1"),
        (" 12 ", "write hw:12"),
        ("", "write one of"),
        ("press3", "write one of"),
        ("hv:1", "did you mean hw:"),
        ("usb:1-1", "before the colon|write one of"),
        ("plughw:1", "write hw:"),
        ("pulse", "did you mean pulse:"),
        ("defualt", "did you mean default"),
        ("recordings/fan01", "write file:recordings/fan01"),
        ("fan.FLAC", "write file:fan.FLAC"),
        ("hw:", "no valid name.*write hw:1"),
        ("name:", "no valid name.*write one of"),
        ("hw:1,2,3", "write hw:1"),
        ("card-id:a b", "letters"),
        ("usb-path:1.4", "1-1.4"),
        ("usb-id:d8c:14", "four hexadecimal"),
        ("file:?loop", "path"),
        ("hw:1#256", "channel 256 is out of range"),
        ("hw:1#", "write the channel after #"),
        ("hw:1#x", "write the channel after #"),
        ("hw:1#-1", "write the channel after #"),
        ("hw:1#0#x", "write the channel after #"),
        ("usb-path:1-1.4#left", "write the channel after #"),
        ("usb-id:0d8c:0014#left", "write the channel after #"),
        ("default#", "write the channel after #"),
        ("default:1", "write one of|did you mean"),
        ("pulse:a\nb", "no valid name"),
    ],
)
def test_malformed_string_is_refused_with_the_remedy(text, remedy):
    with pytest.raises(UsageError, match=remedy):
        parse_device(text)


def test_integer_from_yaml_is_refused():
    with pytest.raises(UsageError, match="write hw:1"):
        parse_device(1)  # type: ignore[arg-type] # what YAML makes of `device: 1`


def test_channel_is_selected_once():
    assert parse_device("hw:1").with_channel(3).channel == 3
    with pytest.raises(UsageError, match="remove one"):
        parse_device("hw:1#0").with_channel(0)


def test_card_1_is_not_card_10():
    assert match_hw(NAMES, 1, None) == [1]
    assert match_hw(NAMES, 10, None) == [0]
    assert match_hw(NAMES, 10, 1) == []
    assert match_hw(["USB (hw:10,0)"], 1, None) == []


def test_card_with_two_pcms_needs_the_pcm():
    assert match_hw(NAMES, 2, None) == [2, 3]
    assert match_hw(NAMES, 2, 1) == [3]


def test_names_match_exactly():
    assert match_name(NAMES, "default") == [4]
    assert match_name(NAMES, "Default") == match_name(NAMES, "USB: Audio") == []


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text):
    try:
        spec = parse_device(text)
    except UsageError:
        return
    assert parse_device(str(spec)) == spec
