"""Sound cards from recorded trees: lasting names, exact matches, and who holds them."""

import os

import pytest
from tests.doubles.card_tree import add_card

from asd_monitor.audio.capture.child_process import ChildEndedError
from asd_monitor.audio.devices.cards import Cards, Holder, NoCardError, stable_name
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.devices.target import DeviceUnavailableError, Target
from asd_monitor.records import MicrophoneState


@pytest.fixture
def root(tmp_path):
    """Return a computer with a sound chip and two microphones of one model."""
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


def test_the_cards_that_can_record(root):
    cards = Cards(root).all()
    assert [card.number for card in cards] == [0, 1, 10]
    assert [card.name for card in cards][:2] == ["HDA Intel PCH", "USB PnP Sound Device"]
    assert (cards[1].usb_id, cards[1].usb_path, cards[1].serial) == ("0d8c:0014", "1-1.4", None)
    assert cards[1].rates_hz == (44100, 48000)  # of its input alone
    assert cards[1].channels == (1,)
    assert [pcm.number for pcm in cards[0].pcms] == [0, 2]


def test_each_gets_a_name_that_lasts(root):
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
def test_a_string_means_one_card(root, text, number):
    assert find(root, text).number == number


@pytest.mark.parametrize(
    "text", ["hw:2", "hw:11", "card-id:Dev", "card-id:device", "usb-path:1-1", "usb-id:0d8c:0015"]
)
def test_what_is_not_there_is_told_with_what_is(root, text):
    with pytest.raises(NoCardError, match=r"not plugged in.*usb-path:1-1\.4"):
        find(root, text)


def test_an_id_of_two_needs_the_port(root):
    with pytest.raises(NoCardError, match=r"2 devices.*usb-path:1-1\.4"):
        find(root, "usb-id:0d8c:0014")


def test_who_holds_a_microphone(root):
    cards = Cards(root)
    assert cards.holder(10, None) == cards.holder(10, 0) == Holder(4711, "arecord")
    assert cards.holder(10, 1) is cards.holder(1, None) is cards.holder(99, None) is None


def test_a_computer_without_sound(tmp_path):
    assert Cards(tmp_path).all() == []
    assert not Cards(tmp_path).readable
    with pytest.raises(NoCardError, match="no sound cards"):
        find(tmp_path, "card-id:Device")


def test_a_busy_microphone_is_told_by_its_holder(root):
    target = Target(parse_device("hw:10"), Cards(root))
    outage = target.why_not(ChildEndedError("not among the inputs", absent=True)).outage
    assert outage.state is MicrophoneState.FAULT
    assert "process 4711 (arecord)" in outage.reason


def test_a_device_that_another_machine_hears_by_another_name(root):
    (root / "proc" / "4711" / "status").write_text(f"Name:\tpython\nPPid:\t{os.getpid()}\n")
    target = Target(parse_device("hw:10"), Cards(root))
    outage = target.why_not(ChildEndedError("not among the inputs", absent=True)).outage
    assert "write the same device for both" in outage.reason


def test_a_lasting_name_is_looked_up_at_each_opening(root, tmp_path_factory):
    target = Target(parse_device("usb-path:1-1.4"), Cards(root))
    assert target.request(target.find_card()) == {"hw": [1, None]}
    target.remember(target.find_card())
    (root / "proc" / "asound" / "cards").write_text("")
    with pytest.raises(DeviceUnavailableError) as away:
        target.find_card()
    assert away.value.outage.state is MicrophoneState.NO_DEVICE
    (root / "sys" / "class" / "sound" / "card1" / "device").unlink()
    (root / "sys" / "devices" / "pci0000:00" / "usb1" / "1-1.4" / "1-1.4:1.0").rmdir()
    add_card(root, 5, "Device", usb_id="0d8c:0014", usb_path="1-1.4")
    assert target.request(target.find_card()) == {"hw": [5, None]}


def test_another_card_under_the_same_number_is_not_heard(root):
    target = Target(parse_device("hw:1"), Cards(root))
    target.remember(target.find_card())
    cards = root / "proc" / "asound" / "cards"
    cards.write_text(cards.read_text().replace("[Device  ", "[Webcam  "))
    with pytest.raises(DeviceUnavailableError, match=r"Webcam.*instead of.*Device") as away:
        target.find_card()
    assert away.value.outage.state is MicrophoneState.FAULT


def test_a_card_with_several_inputs_means_its_first(root):
    target = Target(parse_device("card-id:PCH"), Cards(root))
    assert target.request(target.find_card()) == {"hw": [0, 0]}
    target = Target(parse_device("hw:0,2"), Cards(root))
    assert target.request(target.find_card()) == {"hw": [0, 2]}


def test_a_number_that_the_kernel_does_not_know_is_left_to_portaudio(tmp_path):
    target = Target(parse_device("hw:7"), Cards(tmp_path))
    assert target.request(target.find_card()) == {"hw": [7, None]}


def test_a_process_is_known_as_the_holder(root):
    target = Target(parse_device("hw:10"), Cards(root))
    assert target.is_open_in(target.find_card(), 4711)
    assert not target.is_open_in(target.find_card(), 4712)
    assert not target.is_open_in(None, 4711)


def test_forbidden_devices(tmp_path, monkeypatch):
    assert not Cards(tmp_path).forbidden
    device = tmp_path / "dev" / "snd" / "pcmC1D0c"
    device.parent.mkdir(parents=True)
    device.touch()
    assert not Cards(tmp_path).forbidden
    monkeypatch.setattr("os.access", lambda path, mode: False)
    outage = (
        Target(parse_device("hw:1"), Cards(tmp_path))
        .why_not(ChildEndedError("none", absent=True))
        .outage
    )
    assert "group audio" in outage.reason
