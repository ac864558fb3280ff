"""Faults of real processes, each a few times."""

import subprocess
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.mosquitto import find_program
from experiments.chaos import __main__ as command
from experiments.chaos.commands import MalformedCommands
from experiments.chaos.packets import MutatedPackets
from experiments.chaos.product import ROOT, Product, prepare
from experiments.chaos.scenario import Place
from tests.doubles.virtual_sound import VirtualSound

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_program("mosquitto") is None, reason="no mosquitto"),
]
BY_NAME: dict[str, Any] = {scenario.name: scenario for scenario in command.SCENARIOS}
REFUSING = BY_NAME["broker-refuses-97"]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return prepare(ROOT, tmp_path_factory.mktemp("product"))


@pytest.mark.parametrize(
    "scenario",
    [
        BY_NAME["sigkill-at-writes"],
        BY_NAME["sigterm"],
        replace(REFUSING, inject=replace(REFUSING.inject, misbehaves_s=5.0)),
        BY_NAME["journal-removed"],
    ],
    ids=lambda scenario: scenario.name,
)
def test_no_alarm_is_lost(product: Product, tmp_path, scenario) -> None:
    findings = scenario.run(Place(product, tmp_path, seed=1), 1)
    assert findings.problems == []
    assert findings.unacknowledged == 0
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in left, "a process is left"


@pytest.mark.skipif(VirtualSound.missing() is not None, reason="no virtual microphone")
@pytest.mark.parametrize("name", ["overrun", "sound-server-killed", "covered"])
def test_faults_of_the_microphone_are_seen_and_losses_counted(
    product: Product, tmp_path, name: str
) -> None:
    findings = BY_NAME[name].run(Place(product, tmp_path, seed=1), 1)
    assert findings.problems == []
    assert findings.loss.is_right


def test_malformed_commands_are_refused_and_the_next_one_is_answered(product: Product, tmp_path):
    findings = MalformedCommands().run(Place(product, tmp_path, seed=1), 3000)
    assert findings.problems == []


def test_mutated_packets_neither_hang_nor_end_the_session(tmp_path) -> None:
    findings = MutatedPackets().run(Place(Product(ROOT, tmp_path), tmp_path, seed=1), 3000)
    assert findings.problems == []
