"""Capture child: the process that opens one microphone and reads it.

Run as ``python -m asd_monitor.audio.capture.child``; see `child_protocol` for its arguments and
its output.  It reads blocks and writes them to standard output until it is killed.  It is started
by `asd_monitor.parent_process`, since PortAudio may also hang while it is loaded.

PortAudio may hang, spin or abort when a device is unplugged.  It is therefore loaded in this
process only, which the parent can kill.  The child does not retry: after any error it writes the
reason to standard error and exits.

Blocking reads need no callback, which systemd's ``MemoryDenyWriteExecute=`` would forbid.
Without NumPy the process stays small.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from typing import Any, NoReturn

from asd_monitor.audio.capture.child_protocol import (
    EXIT_ABSENT,
    EXIT_FAULT,
    CaptureRequest,
    PortAudioInput,
    StreamFormat,
    encode_inputs,
)
from asd_monitor.audio.devices.portaudio_names import match_hw, match_name
from asd_monitor.audio.devices.remedies import cannot_be_opened, no_channel, pcm_not_found
from asd_monitor.audio.devices.shared_libraries import found_by_loader
from asd_monitor.audio.wire import MAX_SAMPLES, OVERFLOW, Frame, encode_header, select_channels

try:
    with found_by_loader({"portaudio": "libportaudio.so.2"}):
        import sounddevice
except OSError:  # raised where the PortAudio library is not installed
    sounddevice = None

LATENCY_S = 0.5
RATES_HZ = (48000, 44100, 16000, 96000, 192000, 32000, 8000)
PIPE_BYTES = 1 << 20
PLUGIN_CHANNELS = 32  # PCMs that convert declare this many channels or more, hardware its own
_INVALID_RATE = -9997
_INPUT_OVERFLOWED = -9981


def main() -> None:
    """Run the command in the arguments; does not return."""
    command, *arguments = sys.argv[1:]
    request = CaptureRequest.decode(arguments[0]) if command == "capture" else None
    if sounddevice is None:
        _exit(EXIT_FAULT, "PortAudio is not installed: apt install libportaudio2")
    try:
        if request:
            _capture(request)
        else:
            _write(encode_inputs(_describe(each) for each in _query_inputs()))
    except BrokenPipeError:
        os._exit(0)
    except sounddevice.PortAudioError as error:
        _exit(EXIT_FAULT, f"PortAudio: {_message(error)}")
    _exit(0, "")


def _message(error: sounddevice.PortAudioError) -> str:
    """Return the host API's message if there is one, such as `No such device`."""
    text = str(error.args[0]) if error.args else ""
    from_host = error.args[2][2] if len(error.args) > 2 else ""
    return from_host or text.rpartition(": ")[2]


def _exit(status: int, reason: str) -> NoReturn:
    if reason:
        sys.stderr.write(" ".join(reason.split()) + "\n")
        sys.stderr.flush()
    os._exit(status)  # PortAudio's own exit handlers may hang


def _query_inputs() -> list[dict[str, Any]]:
    return [each for each in sounddevice.query_devices() if each["max_input_channels"] > 0]


def _describe(device: dict[str, Any]) -> PortAudioInput:
    rates = []
    for rate_hz in sorted(RATES_HZ):
        try:
            sounddevice.check_input_settings(
                device["index"], channels=1, dtype="int16", samplerate=rate_hz
            )
        except sounddevice.PortAudioError:
            continue
        rates.append(rate_hz)
    return PortAudioInput(device["name"], device["max_input_channels"], tuple(rates))


def _find(request: CaptureRequest) -> dict[str, Any]:
    inputs = _query_inputs()
    names = [each["name"] for each in inputs]
    hits = match_hw(names, *request.hw) if request.hw else match_name(names, request.name or "")
    if len(hits) == 1:
        return inputs[hits[0]]
    if hits:
        matching = "; ".join(names[hit] for hit in hits)
        _exit(EXIT_ABSENT, f"{len(hits)} inputs match: choose one by its name: {matching}")
    _exit(EXIT_ABSENT, pcm_not_found(request.name, names))


def _open(device: dict[str, Any], request: CaptureRequest) -> Any:
    """Open all channels of the device, at the requested rate or the first that it offers."""
    channels, wanted = request.channels, request.wanted
    available = device["max_input_channels"]
    if channels is None:
        # behind a converting PCM the parent finds out the real number from the sound server
        channels = (
            available
            if available < PLUGIN_CHANNELS
            else min(max(2, max(wanted) + 1), PLUGIN_CHANNELS)
        )
    if min(wanted) >= channels and available < PLUGIN_CHANNELS:
        _exit(EXIT_FAULT, no_channel(wanted, channels))
    default_hz = round(device["default_samplerate"])
    rates_hz = (
        [request.rate_hz]
        if request.rate_hz
        else dict.fromkeys((*RATES_HZ[:3], default_hz, *RATES_HZ))
    )
    for rate_hz in rates_hz:
        try:
            return sounddevice.RawInputStream(
                samplerate=rate_hz,
                device=device["index"],
                channels=channels,
                dtype="int16",
                latency=LATENCY_S,
            )
        except sounddevice.PortAudioError as error:
            if error.args[1:2] != (_INVALID_RATE,):
                message = cannot_be_opened(_message(error), is_plugged=request.hw is not None)
                _exit(EXIT_ABSENT, message)
    tried = f"{request.rate_hz} Hz, its rate before" if request.rate_hz else "any common rate"
    _exit(EXIT_FAULT, f"cannot be opened at {tried}: unplug it and plug it in again")


def _capture(request: CaptureRequest) -> None:
    device = _find(request)
    stream = _open(device, request)
    rate_hz, channels = round(stream.samplerate), stream.channels
    sent = tuple(each for each in sorted(request.wanted) if each < channels)
    with contextlib.suppress(OSError):  # beyond the user's limit a smaller pipe remains
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    max_channels = min(device["max_input_channels"], PLUGIN_CHANNELS)
    _write(StreamFormat(rate_hz, channels, max_channels, sent, device["name"]).encode())
    stream.start()
    block_s = min(request.block_s, MAX_SAMPLES / 2 / (rate_hz * channels))
    sequence = position = 0
    while True:
        end = round((sequence + 1) * block_s * rate_hz)
        data, overflowed = stream.read(end - position)
        time_ns = time.monotonic_ns() - round(_waiting(stream) / rate_hz * 1e9)
        pcm = select_channels(bytes(data), channels, sent)
        frame = Frame(sequence, position, time_ns, pcm, OVERFLOW if overflowed else 0)
        _write(encode_header(frame) + pcm)
        sequence += 1
        position = end


def _waiting(stream: Any) -> int:
    """Return the samples of each channel that were captured and not read yet.

    They show how late the reading was: on a busy computer it may be late for seconds on end, which
    the parent would take for a loss.
    """
    try:
        return int(stream.read_available)
    except sounddevice.PortAudioError as error:
        if error.args[1:2] != (_INPUT_OVERFLOWED,):
            raise
        return 0  # the buffer was emptied; the next read reports it


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
