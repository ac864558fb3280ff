"""Whether the alarms of a machine chatter: are raised again and again within minutes.

ISA-18.2 calls an alarm chattering that repeatedly comes and goes in a short time; how often is a
choice of the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

CHATTER_RAISES = 3
"""Alarms of one machine within `CHATTER_S` are chattering."""
CHATTER_S = 600.0
CHATTER_REMEDY = (
    "raise its off-delay (`off_delay_s`), set `latch: true`, or shelve it while the cause is sought"
)


def is_chattering(raised: Sequence[datetime], now: datetime) -> bool:
    """Return whether a machine's alarms chatter now.

    Args:
        raised: When they were raised, the newest last.
        now: The present time.

    """
    newest = raised[-CHATTER_RAISES:]
    if len(newest) < CHATTER_RAISES:
        return False
    return abs((now - newest[0]).total_seconds()) <= CHATTER_S
