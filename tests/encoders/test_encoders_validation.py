"""Networks from files: how they are read, validated and selected."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.dsp.window_features import NAMES
from asd_monitor.encoders import encoder_loading
from asd_monitor.encoders.encoder_loading import (
    load_encoder,
    select_encoders,
    shipped_encoder,
    validate_here,
)
from asd_monitor.encoders.session import EncoderError
from asd_monitor.errors import OperationError
from asd_monitor.features.windows import WindowStream
from tests.doubles.command_line import without_privileges
from tests.doubles.synthetic_networks import (
    BANDS,
    ENCODERS,
    FAR,
    NEAR,
    build_encoder,
    maps_card,
    maps_network,
    patch_card,
    patch_network,
    wave_network,
    write_network,
)
from tests.doubles.synthetic_sounds import machine_sound


def test_a_network_is_read_with_its_card(tmp_path: Path) -> None:
    path = write_network(tmp_path, maps_network(), maps_card())
    encoder = load_encoder(path, validate_here)
    assert (encoder.name, encoder.view_names) == ("toy", ["toy"])
    assert encoder.onnx == maps_network()
    assert encoder.sha256 == ENCODERS["maps"].sha256


@pytest.mark.parametrize("name", ENCODERS)
def test_the_synthetic_networks_are_valid(name: str, tmp_path: Path) -> None:
    encoder = ENCODERS[name]
    load_encoder(write_network(tmp_path, encoder.onnx, encoder.card.to_json()), validate_here)


def test_equal_networks_share_a_session_and_are_pickled_without_it() -> None:
    one = build_encoder(maps_network(), maps_card("one"))
    other = build_encoder(maps_network(), maps_card("other"))
    assert one.network.session is other.network.session
    copy = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert copy.card == one.card
    assert len(pickle.dumps(one)) < 2 * len(one.onnx)


def test_a_session_has_one_thread() -> None:
    options = ENCODERS["maps"].network.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert not options.enable_cpu_mem_arena


def _external() -> bytes:
    from onnx import TensorProto, load_from_string

    model = load_from_string(maps_network())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return bytes(model.SerializeToString())


def _changed(change: Any) -> bytes:
    from onnx import load_from_string

    model = load_from_string(maps_network())
    change(model.graph)
    return bytes(model.SerializeToString())


def _random(graph: Any) -> None:
    from onnx import TensorProto, helper

    graph.node[-1].output[0] = "calm"
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    graph.initializer.append(yes)
    graph.node.append(helper.make_node("Dropout", ["calm", "", "yes"], ["far"]))


def _infinite(graph: Any) -> None:
    from onnx import helper

    graph.node[-1].output[0] = "calm"
    graph.node.append(helper.make_node("Sub", ["calm", "calm"], ["zero"]))
    graph.node.append(helper.make_node("Div", ["calm", "zero"], ["far"]))


def _two_inputs(graph: Any) -> None:
    graph.input.add().CopyFrom(graph.input[0])
    graph.input[1].name = "other"


PADDED = maps_card(outputs=[{**NEAR, "reach": 1}, {**FAR, "reach": 17}])
REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "no network": (b"nothing", maps_card(), "cannot be read as a network"),
    "empty file": (b"", maps_card(), "cannot be read as a network"),
    "weights elsewhere": (_external(), maps_card(), "external_data=False"),
    "other bands": (maps_network(bands=BANDS + 1), maps_card(), f"float (batch, steps, {BANDS})"),
    "waveform": (wave_network(), maps_card(outputs=[{**NEAR, "name": "map"}]), "is tensor(float)"),
    "no such output": (maps_network(), maps_card(outputs=[{**NEAR, "name": "x"}]), "near, far"),
    "reach": (maps_network(), maps_card(outputs=[NEAR, {**FAR, "reach": 28}]), "correct"),
    "stride": (maps_network(), maps_card(outputs=[NEAR, {**FAR, "stride": 4}]), "correct"),
    "padding before": (maps_network(padding=(12, 0)), PADDED, "padding along time"),
    "padding after": (maps_network(padding=(0, 12)), PADDED, "padding along time"),
    "of another length": (patch_network(), patch_card(reach=23), "write reach: 24"),
    "not pooled": (maps_network(steps=45), maps_card(outputs=[{**NEAR, "reach": 45}]), "pool it"),
    "batch": (patch_network(batch=3), patch_card(), "takes 3 patches at once"),
    "random": (_changed(_random), maps_card(), "differs from run to run"),
    "infinite": (_changed(_infinite), maps_card(), "is no finite number"),
    "two inputs": (_changed(_two_inputs), maps_card(), "2 inputs, log_mel, other"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_do_not_match_their_card_are_refused(name: str, tmp_path: Path) -> None:
    onnx, card, message = REFUSED[name]
    path = write_network(tmp_path, onnx, card)
    with pytest.raises(EncoderError) as refused:
        load_encoder(path, validate_here)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_operations_over_the_whole_time_axis_are_refused(tmp_path: Path) -> None:
    def normalise(graph: Any) -> None:
        from onnx import helper

        graph.node[-1].output[0] = "raw"
        graph.node.append(helper.make_node("ReduceMean", ["raw"], ["mean"], axes=[1]))
        graph.node.append(helper.make_node("Sub", ["raw", "mean"], ["far"]))

    path = write_network(tmp_path, _changed(normalise), maps_card())
    with pytest.raises(EncoderError, match="'far' depends on where the sound is cut"):
        load_encoder(path, validate_here)


def test_vectors_of_views_have_a_limit(tmp_path: Path) -> None:
    # 15 channels, each pooled so often: 4095 and 4110 numbers
    for pools, valid in ((273, True), (274, False)):
        views = [{"name": "long", "outputs": ["far", "near"], "pool": ["mean"] * pools}]
        path = write_network(tmp_path, maps_network(), maps_card(views=views))
        if valid:
            load_encoder(path, validate_here)
        else:
            with pytest.raises(EncoderError, match=r"'long' has vectors of 4110 .* 4096 at most"):
                load_encoder(path, validate_here)


def test_a_missing_file_or_card_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"toy\.onnx: no such file"):
        load_encoder(tmp_path / "toy.onnx")
    path = write_network(tmp_path, maps_network(), maps_card())
    path.with_suffix(".yaml").unlink()
    with pytest.raises(EncoderError, match=r"toy\.yaml: no such file: describe the network there"):
        load_encoder(path)
    with pytest.raises(EncoderError, match="this is a folder"):
        load_encoder(tmp_path)


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_network(tmp_path, maps_network(), maps_card())
    monkeypatch.setattr(encoder_loading, "MAX_NETWORK_BYTES", 100)
    with pytest.raises(EncoderError, match="larger than"):
        load_encoder(path)


def test_a_file_without_permission_is_reported(open_folder: Path) -> None:
    path = write_network(open_folder, maps_network(), maps_card())
    path.chmod(0)
    with without_privileges(), pytest.raises(OperationError, match="let this user read it"):
        load_encoder(path)


def test_the_shipped_encoder_is_the_first_found(tmp_path: Path) -> None:
    folders = (tmp_path / "package/models", tmp_path / "models")
    assert shipped_encoder(folders) is None
    for number, folder in enumerate(reversed(folders)):
        folder.mkdir(parents=True)
        write_network(folder, maps_network(number), maps_card("encoder"))
        shipped = shipped_encoder(folders)
        assert shipped is not None
        assert shipped.onnx == maps_network(number)


def test_the_shipped_encoder_is_selected_beside_others(tmp_path: Path) -> None:
    shipped = build_encoder(maps_network(), maps_card("encoder"))
    other = write_network(tmp_path, maps_network(3), maps_card("other"))
    assert [e.name for e in select_encoders(shipped, [other], validate_here)] == [
        "encoder",
        "other",
    ]
    assert [e.name for e in select_encoders(None, [other], validate_here)] == ["other"]
    assert select_encoders(None, []) == ()
    same_name = write_network(tmp_path, maps_network(4), maps_card("encoder"))
    with pytest.raises(EncoderError, match="'encoder' is that of the network that ships"):
        select_encoders(shipped, [same_name], validate_here)


def test_names_of_features_are_taken(tmp_path: Path) -> None:
    windows = WindowStream(front_end_for(16_000)).push(machine_sound(2.0))
    assert set(NAMES) == windows[0].features.keys()
    views = [{"name": "level", "outputs": ["near"]}]
    path = write_network(tmp_path, maps_network(), maps_card(views=views))
    with pytest.raises(EncoderError, match="'level' is that of a feature"):
        select_encoders(None, [path], validate_here)
