"""Listing of inputs: cards by stable names, then the sound server's sources, then other names."""

import asyncio
import os
import sys
from functools import partial

import pytest

from asd_monitor.audio.capture.child_process import query_portaudio_inputs
from asd_monitor.audio.capture.child_protocol import PortAudioInput
from asd_monitor.audio.devices.cards import Cards, Holder
from asd_monitor.audio.devices.sound_server import ServerSource, SoundServer
from asd_monitor.audio.inputs import list_inputs, merge_inputs
from tests.doubles.card_tree import add_card
from tests.doubles.killed_parent import endless, ends_with


def test_cards_sources_and_names_are_merged(tmp_path):
    add_card(tmp_path, 0, "PCH", name="HDA Intel PCH", inputs=(0, 2))
    add_card(tmp_path, 1, "Device", usb_id="0d8c:0014", usb_path="1-1.4", held_by=(4711, "arecord"))
    listed = [
        PortAudioInput("HDA Intel PCH: ALC (hw:0,0)", 2, (44100, 48000)),
        PortAudioInput("virtual (hw:9,0)", 32, (16000,)),
        PortAudioInput("pulse", 32, ()),
        PortAudioInput("spdif", 2, ()),
        PortAudioInput("default", 32, (48000,)),
    ]
    sources = [
        ServerSource("alsa_input.usb", "USB PnP", 48000, 1),
        ServerSource("alsa_output.pci.monitor", "Monitor of HDA", 48000, 2),
    ]
    inputs = merge_inputs(Cards(tmp_path).all(), listed, sources)
    assert [each.device for each in inputs] == [
        "card-id:PCH",
        "hw:CARD=PCH,DEV=2",
        "usb-path:1-1.4",
        "hw:9,0",
        "pulse:alsa_input.usb",
        "name:spdif",
        "default",
    ]
    assert [each.hw for each in inputs][:3] == ["hw:0,0", "hw:0,2", "hw:1,0"]
    assert inputs[0].rates_hz == (44100, 48000)
    assert inputs[0].channels == (2,)
    assert inputs[2].rates_hz == (44100, 48000)  # known without opening it
    assert inputs[2].holder == Holder(4711, "arecord")


@pytest.mark.slow
async def test_cards_are_listed_without_portaudio(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    add_card(tmp_path, 1, "Device", usb_id="0d8c:0014", usb_path="1-1.4")
    listing = await list_inputs(Cards(tmp_path), SoundServer())
    assert [each.device for each in listing.inputs] == ["usb-path:1-1.4"]
    assert "apt install libportaudio2" in listing.problems[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("portaudio", "problem"),
    [("import os; os.abort()\n", "failed"), ("import time; time.sleep(1000)\n", "does not answer")],
    ids=["aborts", "hangs"],
)
async def test_portaudio_that_fails_is_reported(tmp_path, monkeypatch, portaudio, problem):
    (tmp_path / "sounddevice.py").write_text(portaudio)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    query = partial(query_portaudio_inputs, limit_s=5.0)
    async with asyncio.timeout(60):
        listing = await list_inputs(Cards(tmp_path), SoundServer(), query)
    assert f"PortAudio {problem}" in listing.problems[0]


_PARENT = """
import asyncio
from asd_monitor.audio.capture.child_process import query_portaudio_inputs
asyncio.run(query_portaudio_inputs())
"""


async def test_a_child_in_which_portaudio_hangs_while_it_is_loaded_ends_with_its_parent(tmp_path):
    ready = tmp_path / "pid"
    (tmp_path / "sounddevice.py").write_text(endless(ready))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, env={**os.environ, "PYTHONPATH": path}
    )
    assert await ends_with(parent, ready)


@pytest.mark.slow
async def test_virtual_microphones_are_listed(virtual_sound):
    virtual_sound({"fan": 1, "pump": 10})
    server = SoundServer()
    listing = await list_inputs(Cards(), server)
    server.close()
    devices = [each.device for each in listing.inputs]
    assert {"pulse:fan", "pulse:pump", "default"} <= set(devices)
    assert listing.problems == ()
