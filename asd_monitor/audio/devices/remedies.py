"""Why a microphone cannot be heard, and the mend.  Imports nothing: the capture child uses it."""

from __future__ import annotations

from collections.abc import Collection

SEE = "`asd-monitor devices` lists what there is"


def cannot_be_opened(why: str, *, plugged: bool) -> str:
    """Return what to say of a device that is listed and cannot be opened.

    ``plugged``: it is a device of its own, rather than a name for whatever there is.
    """
    remedy = "unplug it and plug it in again" if plugged else "is a microphone plugged in?"
    return f"it is there but cannot be opened: {remedy}; {SEE} ({why})"


def no_channel(wanted: Collection[int], channels: int) -> str:
    """Return what to say of a device with fewer channels than all that were asked for."""
    missing = " or ".join(map(str, sorted(wanted)))
    if channels == 1:
        return f"it has no channel {missing}: it has 1 channel: choose channel 0, or none"
    return (
        f"it has no channel {missing}: it has {channels} channels: choose one from 0 to "
        f"{channels - 1}"
    )


def not_there(known: list[str]) -> str:
    """Return what to say of a device that is none of those known."""
    if not known:
        return "it is not there, nor is any other: plug it in"
    return f"it is not there: plug it in, or choose one that is: {'; '.join(known)}"
