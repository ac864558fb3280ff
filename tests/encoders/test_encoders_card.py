"""Cards of networks: what is read, and the message for every problem."""

from typing import Any

import pytest
import yaml

from asd_monitor.encoders.card import MAX_CARD_BYTES, Card, CardError, card_from_values
from asd_monitor.encoders.encoder_loading import parse_card
from tests.doubles.synthetic_networks import FAR, LOG_MEL, NEAR, maps_card, wave_card


def _read(card: Any) -> Card:
    return parse_card(yaml.safe_dump(card).encode(), "net.yaml")


def test_a_card_is_restored_from_a_manifest() -> None:
    views = [{"name": "a", "outputs": ["near"], "pool": ["spread"], "back_end": "residual"}]
    for card in (_read(maps_card(views=views)), _read(wave_card())):
        assert card_from_values(card.to_json(), "manifest") == card


def test_the_receptive_field_is_called_reach_in_files() -> None:
    card = _read(maps_card())
    assert card.outputs[0].receptive_field == NEAR["reach"]
    assert card.to_json()["outputs"][0] == NEAR
    with pytest.raises(CardError, match=r"outputs\.0\.receptive_field: unknown key: .*reach"):
        _read(maps_card(outputs=[{**NEAR, "receptive_field": 13}]))


def test_without_views_there_is_one_of_all_outputs() -> None:
    [view] = _read(maps_card("toy")).resolved_views
    assert (view.name, view.outputs, view.pool, view.back_end) == (
        "toy",
        ("near", "far"),
        ("mean", "maximum"),
        "neighbour",
    )


def test_span_of_a_frame_in_samples() -> None:
    card = _read(maps_card())
    assert card.span(card.outputs[0]) == 12 * 160 + 400
    wave = _read(wave_card())
    assert wave.span(wave.outputs[0]) == 400


def _input(**changes: Any) -> dict[str, Any]:
    return maps_card(input={**LOG_MEL, **changes})


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in maps_card().items() if name != key}


def _view(**changes: Any) -> dict[str, Any]:
    return maps_card(views=[{"name": "v", "outputs": ["near"], **changes}])


WRONG: dict[str, tuple[Any, str]] = {
    "unknown key": (maps_card(license="x"), "license: unknown key: did you mean 'licence'?"),
    "unknown key of the input": (_input(centre=True), "input.centre: unknown key: the keys here"),
    "missing": (_without("outputs"), "outputs: the key is missing: add `outputs: …`"),
    "kind": (maps_card(input={"kind": "mfcc"}), "input: the kind of input is unknown: write"),
    "no kind": (maps_card(input={}), "input: the kind of input is missing: write"),
    "name": (maps_card("a/b"), "name: 'a/b' cannot be a name: use up to 64 letters"),
    "text": (maps_card(licence=3), "licence: 3 is not text: write text"),
    "no licence": (maps_card(licence=""), "licence: this is empty"),
    "fraction": (_input(hop=1.5), "input.hop: 1.5 is not a whole number"),
    "word": (_input(floor="1e-10"), "is not a number: write a number, with a point"),
    "yes": (_input(area=1), "input.area: 1 is not true or false"),
    "below": (_input(bands=0), "input.bands: 0 is out of range: write at least 1"),
    "infinite": (_input(mean=float("inf")), "input.mean: inf is not a finite number"),
    "mel": (_input(mel="bark"), "input.mel: 'bark' is unknown: write 'slaney' or 'htk'"),
    "power": (_input(power=3), "input.power: 3 is unknown: write 1 or 2"),
    "fft": (_input(fft=256), "input: fft 256 is below frame 400: write fft: 400"),
    "bands upside down": (_input(low_hz=7600), "are no bands of sound of 16000 Hz"),
    "above half the rate": (_input(high_hz=8001), "are no bands of sound of 16000 Hz"),
    "no logarithm": (_input(offset=0.0), "silence has no logarithm: write floor or offset"),
    "no outputs": (maps_card(outputs=[]), "outputs: this is empty"),
    "outputs as text": (maps_card(outputs="near"), "outputs: 'near' is not a list"),
    "reach": (maps_card(outputs=[{**NEAR, "reach": 0}]), "outputs.0.reach: 0 is out of range"),
    "stride": (maps_card(outputs=[{**NEAR, "stride": 0}]), "outputs.0.stride: 0 is out of range"),
    "output twice": (maps_card(outputs=[NEAR, FAR, NEAR]), "the output 'near' is there twice"),
    "unknown output": (_view(outputs=["x"]), "names an output 'x', and outputs has near, far"),
    "pool": (_view(pool=["median"]), "views.0.pool.0: 'median' is unknown: write 'mean'"),
    "back end": (_view(back_end="density"), "views.0.back_end: 'density' is unknown"),
    "a list": ([1], "a card has keys and values"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_problem_has_a_line_with_key_and_remedy(name: str) -> None:
    card, message = WRONG[name]
    with pytest.raises(CardError) as refused:
        _read(card)
    assert message in str(refused.value)
    assert str(refused.value).startswith("net.yaml: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"name: [", "not valid YAML"),
        (b"name: a\nname: b\n", "net.yaml:2:1: 'name' is already set in line 1"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"#" * (MAX_CARD_BYTES + 1), "larger than any card"),
    ],
)
def test_files_that_are_no_yaml_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(CardError, match=message):
        parse_card(content, "net.yaml")


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(CardError) as refused:
        _read(_input(hop=0, mel="bark"))
    assert len(str(refused.value).splitlines()) == 2
