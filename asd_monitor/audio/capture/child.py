"""The capture child: ``python -m asd_monitor.audio.capture.child REQUEST``.

It opens one microphone, reads blocks of 100 ms and writes them to stdout
(`asd_monitor.audio.wire`), until it is killed.  PortAudio may hang, spin or abort when a
device goes, so it lives here, where that harms nobody.  It never tries twice: on any
error it says why in the last line on stderr and exits.

REQUEST is a JSON object: ``{"hw": [card, pcm or null]}`` or ``{"name": "…"}``, with
``wanted``, the channels to hear, from 0, and ``rate_hz`` and ``channels`` (null: the
device's own); or ``{"list": true}``: one line of JSON with all inputs, and nothing is
opened for long.  Of the wanted channels those that the device has are sent, in rising order.

Blocking reads need no callback, which `MemoryDenyWriteExecute=` would forbid; and no
numpy keeps it small.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

from asd_monitor.audio.devices.portaudio_names import match_hw, match_name
from asd_monitor.audio.devices.remedies import cannot_be_opened, no_channel, not_there
from asd_monitor.audio.wire import (
    EXIT_ABSENT,
    EXIT_FAULT,
    OVERFLOW,
    Frame,
    choose_channels,
    encode_header,
    encode_line,
)

try:
    import sounddevice
except OSError:  # what it raises without the PortAudio library
    sounddevice = None

BLOCKS_PER_S = 10
LATENCY_S = 0.5
RATES_HZ = (48000, 44100, 16000, 96000, 192000, 32000, 8000)
PIPE_BYTES = 1 << 20
PLUGIN_CHANNELS = 32  # converting PCMs claim this many or more; hardware tells the truth
_PR_SET_PDEATHSIG = 1
_INVALID_RATE = -9997


def main() -> None:
    """Do what the request in the first argument says; never return to a caller's mistake."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    _die_with(request.get("parent"))
    if sounddevice is None:
        _exit(EXIT_FAULT, "PortAudio is not installed: apt install libportaudio2")
    try:
        if request.get("list"):
            _write(encode_line({"inputs": [_described(each) for each in _inputs()]}))
        else:
            _capture(request)
    except BrokenPipeError:
        os._exit(0)
    except sounddevice.PortAudioError as error:
        _exit(EXIT_FAULT, f"PortAudio: {_short(error)}")
    _exit(0, "")


def _short(error: sounddevice.PortAudioError) -> str:
    """Return the last words, the device's own where there are any: `No such device`."""
    text = str(error.args[0]) if error.args else ""
    from_device = error.args[2][2] if len(error.args) > 2 else ""
    return from_device or text.rpartition(": ")[2]


def _exit(status: int, reason: str) -> NoReturn:
    if reason:
        sys.stderr.write(" ".join(reason.split()) + "\n")
        sys.stderr.flush()
    os._exit(status)  # PortAudio's own exit handlers may hang


def _die_with(parent: int | None) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(EXIT_FAULT)


def _inputs() -> list[dict[str, Any]]:
    return [each for each in sounddevice.query_devices() if each["max_input_channels"] > 0]


def _described(device: dict[str, Any]) -> dict[str, object]:
    rates = []
    for rate_hz in sorted(RATES_HZ):
        try:
            sounddevice.check_input_settings(
                device["index"], channels=1, dtype="int16", samplerate=rate_hz
            )
        except sounddevice.PortAudioError:
            continue
        rates.append(rate_hz)
    return {
        "name": device["name"],
        "channels": device["max_input_channels"],
        "default_rate_hz": round(device["default_samplerate"]),
        "rates_hz": rates,
    }


def _find(request: dict[str, Any]) -> dict[str, Any]:
    inputs = _inputs()
    names = [each["name"] for each in inputs]
    if "hw" in request:
        hits = match_hw(names, *request["hw"])
    else:
        hits = match_name(names, request["name"])
    if len(hits) == 1:
        return inputs[hits[0]]
    if hits:
        known = "; ".join(names[hit] for hit in hits)
        _exit(EXIT_ABSENT, f"{len(hits)} of the inputs match: choose one by its name: {known}")
    _exit(EXIT_ABSENT, not_there(names))


def _open(device: dict[str, Any], request: dict[str, Any]) -> Any:
    """Open the device as it is: all its channels, at the rate asked for or a good one."""
    rate_hz, channels, wanted = request["rate_hz"], request["channels"], request["wanted"]
    most = device["max_input_channels"]
    if channels is None:
        # where a plugin converts, whoever reads the hello finds out how many there really are
        channels = most if most < PLUGIN_CHANNELS else min(max(2, max(wanted) + 1), PLUGIN_CHANNELS)
    if min(wanted) >= channels and most < PLUGIN_CHANNELS:
        _exit(EXIT_FAULT, no_channel(wanted, channels))
    default_hz = round(device["default_samplerate"])
    rates_hz = [rate_hz] if rate_hz else dict.fromkeys((*RATES_HZ[:3], default_hz, *RATES_HZ))
    for rate in rates_hz:
        try:
            return sounddevice.RawInputStream(
                samplerate=rate,
                device=device["index"],
                channels=channels,
                dtype="int16",
                latency=LATENCY_S,
            )
        except sounddevice.PortAudioError as error:
            if error.args[1:2] != (_INVALID_RATE,):
                _exit(EXIT_ABSENT, cannot_be_opened(_short(error), plugged="hw" in request))
    offered = f"{rate_hz} Hz, which it had before" if rate_hz else "any usual rate"
    _exit(EXIT_FAULT, f"it cannot be opened at {offered}: unplug it and plug it in again")


def _capture(request: dict[str, Any]) -> None:
    device = _find(request)
    stream = _open(device, request)
    rate_hz, channels = round(stream.samplerate), stream.channels
    sent = [each for each in sorted(request["wanted"]) if each < channels]
    with contextlib.suppress(OSError):  # over the user's limit: a smaller pipe does too
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    hello = {
        "rate_hz": rate_hz,
        "channels": channels,
        "most": min(device["max_input_channels"], PLUGIN_CHANNELS),
        "sent": sent,
        "name": device["name"],
    }
    _write(encode_line(hello))
    stream.start()
    sequence = position = 0
    while True:
        data, overflowed = stream.read(rate_hz // BLOCKS_PER_S)
        time_ns = time.monotonic_ns()
        pcm = choose_channels(bytes(data), channels, sent)
        frame = Frame(sequence, position, time_ns, pcm, OVERFLOW if overflowed else 0)
        _write(encode_header(frame) + pcm)
        sequence += 1
        position += rate_hz // BLOCKS_PER_S


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
