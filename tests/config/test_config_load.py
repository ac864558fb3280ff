"""The configuration file: what it means and what is said when it is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import (
    ConfigError,
    as_yaml,
    default_box,
    load_config,
    machine_from_options,
    read_config,
)
from asd_monitor.config.settings import Config
from asd_monitor.errors import UsageError
from tests.doubles.command_line import without_privileges

CONTRACT = """\
version: 1
box: edge-07                      # default: host name; <host>.<instance> under the template unit
mqtt: {host: localhost, port: 1883, prefix: asd, username: null, password_file: null, tls: null, commands: false}
inference: {provider: cpu, threads: 1}
defaults:                         # each key can be repeated per machine
  window_s: 1.984                 # seconds, rounded to whole frames; both apply at training,
  hop_s: 0.512                    # a bundle that differs wins, with a warning
  alarm: {false_alarms: 1 per month, warnings: 1 per day, on_delay_s: 3, off_delay_s: 10, latch: true}
  evidence: {keep_before_s: 10, keep_after_s: 10, max_bytes: 2 GB, max_age_days: 30}
machines:
  fan01: {device: "hw:1", channel: 0}
  pump02: {device: "usb-id:0d8c:0014", alarm: {false_alarms: 1 per week}}
"""  # noqa: E501
SMALLEST = "version: 1\nmachines: {fan01: {device: 'hw:1'}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "edge.yaml"


def load(file: Path, text: str | bytes, **environ: str) -> Config:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(file, parse_device, environ, host="edge-07")


def errors(file: Path, text: str | bytes, host: str = "edge-07") -> list[str]:
    """The errors without the name of the file."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, parse_device, {}, host=host)
    assert caught.value.exit_code == 2
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


def notices(file: Path, text: str) -> list[str]:
    file.write_text(text)
    read = read_config(file, parse_device, {}, host="edge-07")
    return [notice.removeprefix(f"{file}:") for notice in read.notices]


def test_the_example_says_what_the_defaults_are(file: Path) -> None:
    written, bare = load(file, CONTRACT), load(file, SMALLEST)
    assert written.mqtt == bare.mqtt
    assert written.inference == bare.inference
    assert written.defaults == bare.defaults
    assert written.box == bare.box
    fan = written.machines["fan01"]
    assert (fan.device, fan.channel, fan.device_text) == ("hw:1", 0, "hw:1#0")
    assert fan.alarm == bare.machines["fan01"].alarm


def test_a_machine_changes_one_key_and_keeps_the_others_of_the_defaults(file: Path) -> None:
    config = load(
        file,
        "version: 1\n"
        "defaults: {alarm: {on_delay_s: 5, latch: false}, hop_s: 0.25, learn: 30m}\n"
        "machines:\n"
        "  fan01: {device: 'hw:1', alarm: {on_delay_s: 1}}\n"
        "  fan02: {device: 'hw:2', alarm: }\n",
    )
    first, second = config.machines["fan01"], config.machines["fan02"]
    assert (first.alarm.on_delay_s, first.alarm.latch, first.hop_s) == (1, False, 0.25)
    assert (second.alarm.on_delay_s, second.alarm.latch) == (5, False)
    assert first.learn is not None
    assert first.learn.seconds == 1800


def test_files_that_are_not_there_are_noticed(file: Path) -> None:
    (file.parent / "ca.pem").touch()
    text = (
        "version: 1\nmqtt:\n  username: u\n  port: 8883\n  password_file: absent.txt\n"
        "  tls:\n    ca: ca.pem\n    cert: .\n    key: none/key.pem\n"
        "machines: {fan01: {device: 'hw:1'}}\n"
    )
    password, cert, key = notices(file, text)
    folder = file.parent
    assert password.startswith(f"5:3: mqtt.password_file: {folder}/absent.txt: No such file")
    assert cert.startswith(f"8:5: mqtt.tls.cert: {folder}: Is a directory")
    assert key.startswith(f"9:5: mqtt.tls.key: {folder}/none/key.pem: No such file")


def test_a_password_that_may_not_be_read_is_noticed(open_folder: Path) -> None:
    secret = open_folder / "password"
    secret.touch(mode=0o600)
    text = "version: 1\nmqtt: {username: u, password_file: password}\n"
    text += "machines: {fan01: {device: 'hw:1'}}\n"
    assert notices(open_folder / "edge.yaml", text) == []
    with without_privileges():
        file = read_config(open_folder / "edge.yaml", parse_device, {}, host="edge-07")
    [notice] = file.notices
    assert "mqtt.password_file" in notice
    assert "Permission denied" in notice


def test_sections_with_everything_commented_out_are_as_if_left_out(file: Path) -> None:
    text = "mqtt:\ninference:\ndefaults:\nbox:\n" + SMALLEST
    assert load(file, text) == load(file, SMALLEST)


def test_what_is_shown_reads_back_the_same(file: Path) -> None:
    config = load(file, CONTRACT)
    assert load(file, as_yaml(config)) == config


def test_every_error_at_once_each_where_it_stands(file: Path) -> None:
    text = """\
version: 1
box: 7
mqtt: {host: h, prt: 1883, tls: {key: a}, password_file: x, password: y}
defaults:
  hop: 0.2
  alarm: {false_alarms: 1 per fortnight, latch: "yes", on_delay_s: -1}
machines:
  fan01: {device: "hw:1", channel: left}
  ../x: {device: hw:1#2, channel: 1}
  pump: {alarm: {false_alarm: 1 per week}, hop_s: 9, window_s: 4}
  pump: {device: 3}
  empty:
  late: {device: "usb-pth:1-1"}
extra: 1
"""
    found = errors(file, text)
    starts = [
        "2:6: box: 7 is not text",
        "3:17: mqtt: unknown key 'prt': did you mean 'port'?",
        "3:39: mqtt.tls.key: a key without its certificate: add `cert:`",
        "3:58: mqtt.password_file: a password without a user: add `username:`",
        "3:61: mqtt: unknown key 'password': secrets are not kept in this file",
        "5:3: defaults: unknown key 'hop': did you mean 'hop_s'?",
        "6:25: defaults.alarm.false_alarms: '1 per fortnight' is not a budget: write",
        "6:49: defaults.alarm.latch: 'yes' is not true or false: write",
        "6:68: defaults.alarm.on_delay_s: -1 is out of range: write at least 0",
        "8:36: machines.fan01.channel: 'left' is not a whole number: write",
        "9:3: machines: '../x' cannot be an id: use up to 64 letters",
        "9:35: machines.'../x'.channel: the device 'hw:1#2' names a channel already: leave out",
        "10:9: machines.pump: the key 'device' is missing: add `device: hw:1`",
        "10:18: machines.pump.alarm: unknown key 'false_alarm': did you mean 'false_alarms'?",
        "10:51: machines.pump.hop_s: 9 s from window to window leaves sound unheard: at most",
        "11:3: 'pump' stands already in line 10: keep one of the two",
        "12:9: machines.empty: nothing is not keys with values: write",
        "13:18: machines.late.device: device 'usb-pth:1-1': ",
        "14:1: unknown key 'extra': the keys here are version, box, mqtt, inference, defaults,",
    ]
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: the file says nothing: begin with"),
        ("# only a comment\n", "1:1: the file says nothing"),
        ("~\n", "1:1: the file says nothing"),
        ("hello\n", "1:1: the file must hold keys and values: begin with `version: 1`"),
        ("- a\n", "1:1: the file must hold keys"),
        ("version: 2\nmachines: {}\n", "1:10: version 2 is not known: this release"),
        (
            "machines: {a: {device: default}}\n",
            "1:1: the key 'version' is missing: add `version: 1`",
        ),
        ("version: 1\n", "1:1: the key 'machines' is missing: add `machines: "),
        ("version: 1\nmachines: {}\n", "2:11: machines: this is empty: write something, such as"),
        ("version: 1\nmachines:\n\tfan01: x\n", "3:1: not valid YAML, found character '\\t'"),
        ("version: 1\nmachines: {a: {device: hw:1, 0}}\n", "2:30: '0' has no value: "),
        ("version: 1\nmqtt: {host: [a}\n", "2:16: not valid YAML, expected ',' or ']'"),
        (
            "version: 1\nbox: a: b\n",
            "2:7: not valid YAML, mapping values are not allowed here: put",
        ),
        ("version: 1\n---\nversion: 1\n", "2:1: not valid YAML, but found another document: keep"),
        ("box: *a\n", "1:6: not valid YAML, found undefined alias 'a': define"),
        ("? {a: 1}\n: 2\n", "1:1: the key 'machines' is missing"),
        ("<<: {a: 1}\n" + SMALLEST, "1:1: '<<' is not merged: put what machines share"),
        ("box: !!python/object:os.system {}\n" + SMALLEST, "1:6: box: a group of keys is not text"),
        ("box: !!int x\n" + SMALLEST, "1:6: '!!int x'"),
        (b"version: 1\nbox: caf\xe9\n", "2:9: the text is not UTF-8: save the file as UTF-8"),
        (b"version: 1\nbox: \x07\n", "2:6: the character '\\x07' cannot stand in YAML: remove it"),
        ("[" * 5000, "1:1: brackets within brackets"),
        ("a: &a [*a]\n", "1:1: brackets within brackets"),
    ],
)
def test_what_is_no_configuration_gets_one_message(
    file: Path, text: str | bytes, told: str
) -> None:
    if "!!int x" in told:
        told = "1:6: 'x' cannot be read ("
    assert errors(file, text)[0].startswith(told)


def test_aliases_that_multiply_are_refused(file: Path) -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    assert errors(file, "\n".join(lines))[0].startswith("1:1: brackets within brackets")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("mqtt: {port: 0}", "port: 0 is out of range: write at least 1, such as `port: 1883`"),
        ("mqtt: {port: 65536}", "at most 65535"),
        ("mqtt: {port: '1883'}", "'1883' is not a whole number"),
        ("mqtt: {port: 1883.5}", "1883.5 is not a whole number"),
        ("mqtt: {host: ''}", "this is empty: write something, such as `host: localhost`"),
        ("mqtt: {host: local host}", "'local host' cannot be the name of a computer: write"),
        ("mqtt: {host: 'mqtt://plant'}", "'mqtt://plant' cannot be the name of a computer"),
        ("mqtt: {prefix: a/#}", "'a/#' cannot be a topic prefix: use at most 200"),
        ("mqtt: {prefix: /a}", "cannot be a topic prefix"),
        ("mqtt: {prefix: a//b}", "cannot be a topic prefix"),
        ("mqtt: {prefix: $SYS}", "cannot be a topic prefix"),
        ("mqtt: {tls: true}", "true is not keys with values"),
        ("mqtt: {commands: 1}", "1 is not true or false"),
        (
            "inference: {provider: gpu}",
            "'gpu' is not 'cpu' or 'cuda': write 'cpu' or 'cuda', such as `provider: cpu`",
        ),
        ("inference: {threads: 0}", "0 is out of range: write at least 1, such as `threads: 1`"),
        ("inference: {threads: all}", "'all' is not a whole number"),
        ("inference: {thread: 2}", "unknown key 'thread': did you mean 'threads'?"),
        ("provider: cuda", "unknown key 'provider': it belongs under `inference`"),
        ("defaults: {window_s: .nan}", ".nan is not a finite number"),
        ("defaults: {window_s: .inf}", ".inf is not a finite number"),
        ("defaults: {window_s: 11}", "at most 10"),
        (
            "defaults: {window_s: 0.7, hop_s: 0.8}",
            "0.8 s from window to window leaves sound unheard",
        ),
        ("defaults: {hop_s: true}", "true is not a number"),
        ("defaults: {alarm: {false_alarms: 1}}", "1 is not a budget: write"),
        ("defaults: {alarm: {on_delay_s: 3 s}}", "'3 s' is not a number: write a number, such as"),
        ("defaults: {evidence: {max_bytes: 2 gigabytes}}", "'2 gigabytes' is not a size: write"),
        ("defaults: {learn: 10s}", "10s is too short to learn a machine: write at least `60s`"),
        ("defaults: {device: x}", "unknown key 'device': it belongs under `machines.MACHINE`"),
        ("defaults: {on_delay_s: 3}", "it belongs under `defaults.alarm`"),
        ("box: box", "'box' cannot be an id"),
    ],
)
def test_each_setting_says_what_it_takes(file: Path, setting: str, told: str) -> None:
    (line,) = errors(file, f"{setting}\n{SMALLEST}")
    assert line.startswith("1:")
    assert told in line


def test_a_provider_that_this_computer_lacks_is_told_at_its_place(file: Path) -> None:
    def lacking(provider: str) -> None:
        raise UsageError(f"no {provider} here")

    file.write_text("version: 1\ninference: {provider: cuda}\nmachines: {fan01: {device: x}}\n")
    assert read_config(file).config.inference.provider == "cuda"
    with pytest.raises(ConfigError, match=r"edge.yaml:2:23: inference.provider: no cuda here$"):
        read_config(file, check_provider=lacking)


def test_an_error_in_the_defaults_is_told_once(file: Path) -> None:
    machines = "".join(f"  m{i}: {{device: 'hw:{i}'}}\n" for i in range(20))
    text = f"version: 1\ndefaults: {{hop_s: x}}\nmachines:\n{machines}"
    assert len(errors(file, text)) == 1


@pytest.mark.parametrize("key", ["on", "1", "null", "0x10", "1_0", "yes"])
def test_ids_are_text_whatever_yaml_takes_them_for(file: Path, key: str) -> None:
    config = load(file, f"version: 1\nmachines: {{{key}: {{device: default}}}}\n")
    assert list(config.machines) == [key]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such file: correct the path"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="this is a folder: name the file in it"):
        load_config(tmp_path)


def test_a_file_without_permission(file: Path) -> None:
    file.write_text(SMALLEST)
    file.chmod(0)
    user = os.geteuid()
    if user == 0:  # may read everything and would prove nothing
        os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match="no permission to read it"):
            load_config(file)
    finally:
        os.seteuid(user)


def test_the_box_is_named_after_the_host_and_the_instance(file: Path) -> None:
    assert load(file, SMALLEST).box == "edge-07"
    assert load(file, SMALLEST, ASD_MONITOR_INSTANCE="hall3").box == "edge-07.hall3"
    assert load(file, "box: b\n" + SMALLEST, ASD_MONITOR_INSTANCE="hall3").box == "b"
    assert default_box({}, host="h") == "h"


@pytest.mark.parametrize("host", ["", "box", "my host", "x" * 65])
def test_a_host_name_that_is_no_id_must_be_replaced(file: Path, host: str) -> None:
    (line,) = errors(file, SMALLEST, host=host)
    assert "cannot be the id of this box: add `box: …`" in line


def test_files_lie_beside_the_configuration(file: Path) -> None:
    text = "mqtt: {username: u, password_file: secret, tls: {ca: /etc/ca.pem, cert: c.pem}}\n"
    mqtt = load(file, text + SMALLEST).mqtt
    assert mqtt.password_file == file.parent / "secret"
    assert mqtt.tls is not None
    assert (mqtt.tls.ca, mqtt.tls.cert) == (Path("/etc/ca.pem"), file.parent / "c.pem")


def test_what_has_no_effect_is_said(file: Path) -> None:
    text = """\
version: 1
mqtt: {tls: {}, commands: true}
defaults:
  alarm: {false_alarms: 1 per hour}
  evidence: {max_age_days: 3}
machines:
  fan01: {device: "hw:1", channel: 0}
  pump: {device: "hw:1"}
  other:
    device: name:USB Mic #2
"""
    starts = [
        "2:8: mqtt.tls: TLS on port 1883",
        "2:17: mqtt.commands: commands over MQTT are not available yet",
        "4:11: defaults.alarm.false_alarms: warnings rarer than false alarms",
        "5:3: defaults.evidence: evidence of alarms is not kept yet",
        "8:10: machines.pump.device: the same device and channel as fan01",
        "10:13: #2 after a space is a comment: if it is the channel, use quotes",
    ]
    for line, start in zip(notices(file, text), starts, strict=True):
        assert line.startswith(start)


def test_a_plain_file_has_no_notices(file: Path) -> None:
    assert notices(file, SMALLEST) == []


def test_one_machine_from_the_command_line() -> None:
    config = machine_from_options(
        "hw:1#2", "fan01", check_device=parse_device, learn="30m", box="edge"
    )
    machine = config.machines["fan01"]
    assert machine.device_text == "hw:1#2"
    assert machine.learn is not None
    assert machine.learn.seconds == 1800


@pytest.mark.parametrize(
    ("device", "machine", "learn", "told"),
    [
        ("hw:1", "../x", None, "cannot be an id"),
        ("hw:1", "box", None, "cannot be an id"),
        ("", "fan01", None, "device"),
        ("nonsense:1", "fan01", None, "device"),
        ("hw:1", "fan01", "10s", "too short to learn"),
        ("hw:1", "fan01", "soon", "is not a duration"),
    ],
)
def test_the_command_line_is_checked_like_the_file(
    device: str, machine: str, learn: str | None, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        machine_from_options(device, machine, check_device=parse_device, learn=learn, box="b")


TEXTS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(str.encode),
    st.text(alphabet="abx:{}[]&*!|>-'\"#,?~ \n\t019.<", max_size=80).map(str.encode),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["version", "box", "mqtt", "defaults", "machines", "alarm", "tls", "device",
                 "channel", "hop_s", "window_s", "learn", "fan01", "key", "cert", "evidence"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


def problems_of(file: Path) -> tuple[str, ...]:
    try:
        load_config(file, parse_device, {}, host="edge-07")
    except ConfigError as error:
        return error.problems or ("no error is no error",)
    return ()


@settings(deadline=None, max_examples=150)
@given(st.one_of(TEXTS, VALUES.map(lambda value: yaml.safe_dump(value).encode())))
def test_any_file_gives_a_configuration_or_its_errors(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    for problem in problems_of(file):
        line, column, told = problem.removeprefix(f"{file}:").split(":", 2)
        assert int(line) >= 1
        assert int(column) >= 1
        assert told.strip()


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_any_value_in_any_place_is_told_by_its_place(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "placed.yaml"
    text = yaml.safe_dump({"version": 1, "machines": {"fan01": value}, "defaults": value})
    file.write_text(text)
    assert all(problem.startswith(f"{file}:") for problem in problems_of(file))
