"""The udev rule of a USB sound card."""

from __future__ import annotations

import re

import pytest

from asd_monitor.audio.devices.cards import Cards
from asd_monitor.diagnosis.udev_rule import rule_of
from asd_monitor.errors import UsageError
from tests.doubles.card_tree import add_card


def cards_of(tmp_path, *cards):
    (tmp_path / "proc/asound").mkdir(parents=True)
    for number, options in enumerate(cards):
        add_card(tmp_path, number, **options)
    return Cards(tmp_path).all()


USB = {"card_id": "Device", "usb_id": "0d8c:0014", "usb_path": "1-1.4"}


def test_by_port_where_there_is_no_serial(tmp_path) -> None:
    cards = cards_of(tmp_path, USB)
    rule = rule_of(cards[0], cards)
    assert rule.line == (
        'ACTION=="add", SUBSYSTEM=="sound", KERNEL=="card*", SUBSYSTEMS=="usb", '
        'KERNELS=="1-1.4", ATTR{id}="mic_1_1_4"'
    )
    assert rule.file == "/etc/udev/rules.d/85-asd-monitor-mic_1_1_4.rules"


def test_by_serial_where_it_is_unique(tmp_path) -> None:
    cards = cards_of(tmp_path, USB | {"serial": "AB-12"})
    rule = rule_of(cards[0], cards)
    assert 'ATTRS{idVendor}=="0d8c", ATTRS{idProduct}=="0014", ATTRS{serial}=="AB-12"' in rule.line
    assert rule.card_id == "mic_AB_12"


@pytest.mark.parametrize("serial", ["A*", 'A", RUN+="/bin/sh', "A[1]", "A?", "A|B", "A\\B"])
def test_a_serial_that_is_a_pattern_is_not_written(tmp_path, serial) -> None:
    cards = cards_of(tmp_path, USB | {"serial": serial})
    rule = rule_of(cards[0], cards)
    assert serial not in rule.line
    assert 'KERNELS=="1-1.4"' in rule.line
    assert "RUN" not in rule.line


def test_two_cards_of_one_serial_are_told_apart_by_their_ports(tmp_path) -> None:
    same = USB | {"serial": "0001"}
    cards = cards_of(tmp_path, same, same | {"card_id": "Device_1", "usb_path": "1-1.2"})
    rules = [rule_of(card, cards) for card in cards]
    assert ["1-1.4" in rules[0].line, "1-1.2" in rules[1].line] == [True, True]
    assert rules[0].card_id != rules[1].card_id


def test_the_id_is_one_that_the_kernel_takes(tmp_path) -> None:
    cards = cards_of(
        tmp_path,
        USB | {"usb_path": "1-1.4.4.3.2.1.2"},
        USB | {"card_id": "B", "usb_path": "2-1", "serial": "a very long serial number"},
        USB | {"card_id": "mic_3_1", "usb_path": "2-2"},
        USB | {"card_id": "C", "usb_path": "3-1"},
    )
    ids = [rule_of(card, cards).card_id for card in cards]
    assert len(set(ids)) == len(ids)
    assert not {"mic_3_1"} & set(ids)  # another card has it
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,15}", each) for each in ids)


def test_a_card_that_is_no_usb_device_is_refused_with_the_list(tmp_path) -> None:
    cards = cards_of(tmp_path, {"card_id": "PCH"}, USB)
    with pytest.raises(UsageError, match=r"not a USB device.*usb-path:1-1\.4"):
        rule_of(cards[0], cards)


@pytest.fixture
def computer(tmp_path, monkeypatch):
    cards_of(tmp_path, {"card_id": "PCH"}, USB)
    monkeypatch.setattr("asd_monitor.audio.devices.cards.Cards", lambda: Cards(tmp_path))


@pytest.mark.usefixtures("computer")
@pytest.mark.parametrize("device", [(), ("--device", "usb-path:1-1.4"), ("--device", "hw:1#0")])
def test_only_the_rule_goes_to_stdout(command_line, device) -> None:
    result = command_line("udev-rule", *device)
    assert result.code == 0
    assert result.out.count("\n") == 1
    assert result.out.startswith("ACTION==")
    assert "card-id:mic_1_1_4" in result.err
    assert "/etc/udev/rules.d/" in result.err


@pytest.mark.usefixtures("computer")
@pytest.mark.parametrize("device", ["hw:0", "hw:7", "pulse:x", "default", "usb-id:1111:2222"])
def test_other_devices_are_refused_with_the_list(command_line, device) -> None:
    result = command_line("udev-rule", "--device", device)
    assert (result.code, result.out) == (2, "")
    assert "usb-path:1-1.4" in result.err


def test_without_a_card(command_line) -> None:
    if Cards().all():
        pytest.skip("this computer has a sound card")
    result = command_line("udev-rule")
    assert result.code == 2
    assert "no USB sound card" in result.err
