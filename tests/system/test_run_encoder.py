"""`asd-monitor run` with a network of the user's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import BrokerMessages, RunProcess, asd_monitor, write_sound
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def messages(mosquitto: Mosquitto) -> Iterator[BrokerMessages]:
    with Subscriber(mosquitto.port) as subscriber:
        yield BrokerMessages(subscriber)


def test_fault_is_published_with_the_view_of_the_network(
    messages: BrokerMessages, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    write_sound(tmp_path / "normal.flac", 90, seed=1)
    write_sound(tmp_path / "fault.flac", 60, seed=3, fault_from_s=20.0)
    network = write_network(tmp_path, maps_network(), maps_card("toy"))
    models = ("--machine", "fan01", "--models", tmp_path / "models")
    asd_monitor("train", "--normal", tmp_path / "normal.flac", "--encoder", network, *models)
    network.unlink()  # the model holds a copy
    device = ("--device", f"file:{tmp_path}/fault.flac", "--speed", "0")
    broker = ("--broker", f"localhost:{mosquitto.port}", "--state", tmp_path / "state")
    with RunProcess(tmp_path, *device, *models, *broker) as run:
        alarm = messages.until("fan01/alarm", lambda m: m["active"], run)
        assert alarm["model"] == "v1"
        assert run.end() == 0
    views = [score["views"]["toy"] for score in messages.all("fan01/score")]
    assert len(views) > 80
    assert max(views[:30]) < max(views[45:])


def test_missing_network_is_published_with_its_remedy(
    messages: BrokerMessages, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    write_sound(tmp_path / "normal.flac", 70, seed=1)
    network = write_network(tmp_path, maps_network(), maps_card("toy"))
    models = ("--machine", "fan01", "--models", tmp_path / "models")
    only = ("--encoder", network, "--no-shipped-encoder")
    asd_monitor("train", "--normal", tmp_path / "normal.flac", *only, *models)
    [kept] = (tmp_path / "models/.encoders").iterdir()
    kept.unlink()
    device = ("--device", f"file:{tmp_path}/normal.flac?loop")
    broker = ("--broker", f"localhost:{mosquitto.port}", "--state", tmp_path / "state")
    with RunProcess(tmp_path, *device, *models, *broker) as run:
        state = messages.until_state("fan01", "no_model", "ok", run)
        assert f"{kept} is missing" in state["reason"]
        assert "train again" in state["reason"]
