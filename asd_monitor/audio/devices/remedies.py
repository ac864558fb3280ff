"""Messages on devices that deliver no sound, with the remedy; imports nothing of the package."""

from __future__ import annotations

from collections.abc import Collection

SEE_DEVICES = "`asd-monitor devices` lists the available devices"
NO_PERMISSION = "no permission for /dev/snd: add this user to the group audio"


def cannot_be_opened(cause: str, *, is_plugged: bool) -> str:
    """Return the message for a device that is listed and cannot be opened.

    ``is_plugged``: the device string names a device rather than an alias such as ``default``.
    """
    remedy = "unplug it and plug it in again" if is_plugged else "connect a microphone"
    return f"found but cannot be opened: {remedy}; {SEE_DEVICES} ({cause})"


def no_channel(wanted: Collection[int], channels: int) -> str:
    """Return the message for a device that has none of the wanted channels."""
    missing = " or ".join(map(str, sorted(wanted)))
    if channels == 1:
        return f"no channel {missing}: the device has 1 channel: choose channel 0, or omit it"
    return (
        f"no channel {missing}: the device has {channels} channels: choose one from 0 to "
        f"{channels - 1}"
    )


def pcm_not_found(name: str | None, available: list[str]) -> str:
    """Return the message for an input that ALSA does not offer; ``name`` None: a card's."""
    if name == "pulse":  # the PCM through which a sound server's sources are recorded
        return (
            "ALSA does not reach the sound server: install its plugin with `apt install "
            "libasound2-plugins`, and check that PulseAudio or PipeWire runs for this user"
        )
    return not_found(available)


def not_found(available: list[str]) -> str:
    """Return the message for a device that is not among the available ones."""
    if not available:
        return "not found, and this computer has no other input device: connect the microphone"
    return f"not found: plug it in, or choose an available device: {'; '.join(available)}"
