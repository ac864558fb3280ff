"""How the configuration becomes a session with the broker."""

from pathlib import Path

import pytest

from asd_monitor.config.settings import Config, Machine, Mqtt, Tls
from asd_monitor.daemon.box_status import mqtt_settings
from asd_monitor.errors import UsageError


def config(**mqtt: object) -> Config:
    return Config(
        version=1, box="edge-07", mqtt=Mqtt(**mqtt), machines={"fan01": Machine(device="hw:1")}
    )


def credential(folder: Path, text: str) -> dict[str, str]:
    (folder / "mqtt_password").write_text(text)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_every_setting_of_the_broker_is_handed_over():
    tls = Tls(ca=Path("ca"), cert=Path("cert"), key=Path("key"))
    settings = mqtt_settings(
        config(host="h", port=8883, prefix="p/q", username="u", password_file=Path("f"), tls=tls),
        {},
    )
    assert (settings.box, settings.address, settings.prefix) == ("edge-07", "h:8883", "p/q")
    assert (settings.username, settings.password_file) == ("u", Path("f"))
    assert settings.tls is not None
    assert (settings.tls.ca, settings.tls.cert, settings.tls.key) == (
        Path("ca"), Path("cert"), Path("key"),
    )  # fmt: skip
    assert mqtt_settings(config(), {}).tls is None


def test_the_password_may_be_a_credential_of_systemd(tmp_path):
    environment = credential(tmp_path, "secret\n")
    handed = mqtt_settings(config(username="u"), environment).password_file
    assert handed == tmp_path / "mqtt_password"
    file = Path("mine")
    assert (
        mqtt_settings(config(username="u", password_file=file), environment).password_file == file
    )


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_credential_is_none(tmp_path, text):
    assert mqtt_settings(config(), credential(tmp_path, text)).password_file is None
    assert mqtt_settings(config(), {"CREDENTIALS_DIRECTORY": "/nowhere"}).password_file is None


def test_a_password_without_a_user_is_refused(tmp_path):
    with pytest.raises(UsageError, match="add `username:`"):
        mqtt_settings(config(), credential(tmp_path, "secret"))
