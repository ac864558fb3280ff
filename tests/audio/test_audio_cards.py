"""Sound cards from a tree of files: stable names, exact matches, and their holders."""

import os

import pytest

from asd_monitor.audio.capture.child_process import ChildEndedError
from asd_monitor.audio.capture.child_protocol import CaptureRequest
from asd_monitor.audio.capture.device_resolver import DeviceResolver, DeviceUnavailableError
from asd_monitor.audio.devices.cards import CardNotFoundError, Cards, Holder, stable_name
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.records import MicrophoneState
from tests.doubles.card_tree import add_card


@pytest.fixture
def root(tmp_path):
    """Return the root of a computer with a sound chip and two microphones of one model."""
    add_card(tmp_path, 0, "PCH", name="HDA Intel PCH", inputs=(0, 2))
    add_card(tmp_path, 1, "Device", usb_id="0d8c:0014", usb_path="1-1.4")
    add_card(
        tmp_path,
        10,
        "Device_1",
        usb_id="0d8c:0014",
        usb_path="1-1.2",
        serial="A:0 1",
        held_by=(4711, "arecord"),
    )
    add_card(tmp_path, 2, "HDMI", inputs=())
    return tmp_path


def find(root, text):
    return Cards(root).find(parse_device(text))


def test_cards_that_can_record_are_listed(root):
    cards = Cards(root).all()
    assert [card.number for card in cards] == [0, 1, 10]
    assert [card.name for card in cards][:2] == ["HDA Intel PCH", "USB PnP Sound Device"]
    assert (cards[1].usb_id, cards[1].usb_path, cards[1].serial) == ("0d8c:0014", "1-1.4", None)
    assert cards[1].rates_hz == (44100, 48000)  # of its input alone
    assert cards[1].channels == (1,)
    assert [pcm.number for pcm in cards[0].pcms] == [0, 2]


def test_stable_name_finds_its_card(root):
    cards = Cards(root).all()
    names = [stable_name(card, cards) for card in cards]
    assert names == ["card-id:PCH", "usb-path:1-1.4", "usb-id:0d8c:0014:A:0 1"]
    for card, name in zip(cards, names, strict=True):
        assert Cards(root).find(parse_device(name)) == card


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("hw:1", 1),
        ("hw:10,0", 10),
        ("hw:CARD=Device,DEV=0", 1),
        ("card-id:Device_1", 10),
        ("usb-path:1-1.2", 10),
        ("usb-id:0d8c:0014:A:0 1", 10),
    ],
)
def test_device_string_matches_one_card(root, text, number):
    assert find(root, text).number == number


@pytest.mark.parametrize(
    "text", ["hw:2", "hw:11", "card-id:Dev", "card-id:device", "usb-path:1-1", "usb-id:0d8c:0015"]
)
def test_absent_card_is_reported_with_the_available_ones(root, text):
    with pytest.raises(CardNotFoundError, match=r"not plugged in.*usb-path:1-1\.4"):
        find(root, text)


def test_usb_id_of_two_devices_is_refused_with_their_ports(root):
    with pytest.raises(CardNotFoundError, match=r"2 devices.*usb-path:1-1\.4"):
        find(root, "usb-id:0d8c:0014")


def test_holder_of_an_input(root):
    cards = Cards(root)
    assert cards.holder(10, None) == cards.holder(10, 0) == Holder(4711, "arecord")
    assert cards.holder(10, 1) is cards.holder(1, None) is cards.holder(99, None) is None


def test_computer_without_cards(tmp_path):
    assert Cards(tmp_path).all() == []
    with pytest.raises(CardNotFoundError, match="no sound card with an input: connect"):
        find(tmp_path, "card-id:Device")


def test_busy_input_is_reported_with_its_holder(root):
    resolver = DeviceResolver(parse_device("hw:10"), Cards(root))
    outage = resolver.explain(ChildEndedError("not among the inputs", absent=True)).outage
    assert outage.state is MicrophoneState.FAULT
    assert "process 4711 (arecord)" in outage.reason


def test_input_opened_by_this_daemon_under_another_name_is_reported(root):
    (root / "proc" / "4711" / "status").write_text(f"Name:\tpython\nPPid:\t{os.getpid()}\n")
    resolver = DeviceResolver(parse_device("hw:10"), Cards(root))
    outage = resolver.explain(ChildEndedError("not among the inputs", absent=True)).outage
    assert "write the same device for both" in outage.reason


def test_stable_name_is_resolved_at_each_opening(root, tmp_path_factory):
    resolver = DeviceResolver(parse_device("usb-path:1-1.4"), Cards(root))
    assert resolver.request(resolver.find_card()) == CaptureRequest(hw=(1, None))
    resolver.pin(resolver.find_card())
    (root / "proc" / "asound" / "cards").write_text("")
    with pytest.raises(DeviceUnavailableError) as unavailable:
        resolver.find_card()
    assert unavailable.value.outage.state is MicrophoneState.NO_DEVICE
    (root / "sys" / "class" / "sound" / "card1" / "device").unlink()
    (root / "sys" / "devices" / "pci0000:00" / "usb1" / "1-1.4" / "1-1.4:1.0").rmdir()
    add_card(root, 5, "Device", usb_id="0d8c:0014", usb_path="1-1.4")
    assert resolver.request(resolver.find_card()) == CaptureRequest(hw=(5, None))


def test_another_card_of_the_same_number_is_refused(root):
    resolver = DeviceResolver(parse_device("hw:1"), Cards(root))
    resolver.pin(resolver.find_card())
    cards = root / "proc" / "asound" / "cards"
    cards.write_text(cards.read_text().replace("[Device  ", "[Webcam  "))
    with pytest.raises(DeviceUnavailableError, match=r"Webcam.*instead of.*Device") as unavailable:
        resolver.find_card()
    assert unavailable.value.outage.state is MicrophoneState.FAULT


def test_card_with_several_inputs_means_its_first(root):
    resolver = DeviceResolver(parse_device("card-id:PCH"), Cards(root))
    assert resolver.request(resolver.find_card()) == CaptureRequest(hw=(0, 0))
    resolver = DeviceResolver(parse_device("hw:0,2"), Cards(root))
    assert resolver.request(resolver.find_card()) == CaptureRequest(hw=(0, 2))


def test_number_unknown_to_the_kernel_is_passed_to_portaudio(tmp_path):
    resolver = DeviceResolver(parse_device("hw:7"), Cards(tmp_path))
    assert resolver.request(resolver.find_card()) == CaptureRequest(hw=(7, None))


def test_process_that_has_the_card_open_is_recognised(root):
    resolver = DeviceResolver(parse_device("hw:10"), Cards(root))
    assert resolver.is_opened_by(4711, resolver.find_card())
    assert not resolver.is_opened_by(4712, resolver.find_card())
    assert not resolver.is_opened_by(4711, None)


def test_denied_access_is_reported(tmp_path, monkeypatch):
    assert not Cards(tmp_path).access_denied
    device = tmp_path / "dev" / "snd" / "pcmC1D0c"
    device.parent.mkdir(parents=True)
    device.touch()
    assert not Cards(tmp_path).access_denied
    monkeypatch.setattr("os.access", lambda path, mode: False)
    outage = (
        DeviceResolver(parse_device("hw:1"), Cards(tmp_path))
        .explain(ChildEndedError("none", absent=True))
        .outage
    )
    assert "group audio" in outage.reason
