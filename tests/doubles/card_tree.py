"""Sound cards in a folder that stands in for the root of a computer, for `Cards`.

The files are those that the Linux kernel provides in /proc/asound and /sys, as far as `Cards` reads
them.
"""

from __future__ import annotations

from pathlib import Path

USB_STREAM = """\
C-Media Electronics Inc. USB PnP Sound Device at usb-0000:00:14.0-1.4, full speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 96000

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S16_LE
    Channels: 1
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: 48000, 44100
    Bits: 16
"""


def add_card(
    root: Path,
    number: int,
    card_id: str,
    *,
    name: str = "USB PnP Sound Device",
    usb_id: str | None = None,
    usb_path: str | None = None,
    serial: str | None = None,
    inputs: tuple[int, ...] = (0,),
    held_by: tuple[int, str] | None = None,
) -> None:
    """Add a card, as plugging it in does.

    ``usb_path`` is the USB port (1-1.4), ``inputs`` are the numbers of the capture PCMs,
    ``held_by`` is the process, (pid, command), that has them open.
    """
    asound = root / "proc" / "asound"
    card = asound / f"card{number}"
    card.mkdir(parents=True)
    with (asound / "cards").open("a") as cards:
        cards.write(f"{number:2d} [{card_id:<15}]: USB-Audio - {name}\n")
        cards.write(f"                      {name} at usb-0000:00:14.0-1.4, full speed\n")
    (card / "id").write_text(f"{card_id}\n")
    for pcm in inputs:
        sub = card / f"pcm{pcm}c" / "sub0"
        sub.mkdir(parents=True)
        status = "closed\n"
        if held_by:
            status = f"state: RUNNING\nowner_pid   : {held_by[0]}\nhw_ptr      : 123\n"
            command = root / "proc" / str(held_by[0])
            command.mkdir(exist_ok=True)
            (command / "comm").write_text(f"{held_by[1]}\n")
        (sub / "status").write_text(status)
    (card / "pcm0p").mkdir()
    if usb_id:
        (card / "usbid").write_text(f"{usb_id}\n")
        (card / "stream0").write_text(USB_STREAM)
    sound = root / "sys" / "class" / "sound" / f"card{number}"
    sound.mkdir(parents=True)
    if usb_path:
        port = root / "sys" / "devices" / "pci0000:00" / "usb1" / usb_path
        (port / f"{usb_path}:1.0").mkdir(parents=True)
        (sound / "device").symlink_to(port / f"{usb_path}:1.0")
        if serial:
            (port / "serial").write_text(f"{serial}\n")
    else:
        (root / "sys" / "devices" / "pci0000:00" / "0000:00:1f.3").mkdir(
            parents=True, exist_ok=True
        )
        (sound / "device").symlink_to(root / "sys" / "devices" / "pci0000:00" / "0000:00:1f.3")
