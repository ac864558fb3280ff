"""The unit of the service, and what is in its way."""

from pathlib import Path

import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.guided_setup.service_unit import obstacle, service_name, unit_text

UNIT = Path(__file__).parents[2] / "deploy/asd-monitor@.service"
PROGRAM = Path("/opt/asd-monitor/bin/asd-monitor")


def test_the_unit_of_the_package_is_that_of_the_usual_program():
    text = UNIT.read_text()
    assert unit_text(text, PROGRAM) == text
    other = unit_text(text, Path("/usr/bin/asd-monitor"))
    assert "ExecStart=/usr/bin/asd-monitor run --config" in other
    assert len(other.splitlines()) == len(text.splitlines())


def test_a_service_is_an_instance_of_the_unit():
    assert service_name("hall") == "asd-monitor@hall.service"


@pytest.mark.parametrize(
    ("program", "device", "text"),
    [
        ("/home/ann/venv/bin/asd-monitor", "hw:1", "/home is hidden"),
        (PROGRAM, "pulse:mic", "sound server"),
        (PROGRAM, "default", "sound server"),
        (PROGRAM, "file:/tmp/a.wav", "hidden"),
    ],
)
def test_what_a_service_cannot_reach_is_said_with_the_remedy(program, device, text):
    found = obstacle(Path(program), parse_device(device))
    assert found is not None
    assert text in found
    assert ": " in found


@pytest.mark.parametrize("device", ["usb-path:1-1.4#1", "card-id:Mic", "file:/srv/sound"])
def test_a_card_and_a_program_of_all_users_are_no_obstacle(device):
    assert obstacle(PROGRAM, parse_device(device)) is None
