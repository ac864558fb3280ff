"""Text in a bitmap font of 5 × 7 pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TEXT_HEIGHT, CHARACTER_WIDTH = 11, 6
BRIGHTNESS = 0.92

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.-+:,%"
COLUMNS = bytes.fromhex(  # five columns of each character, the lowest bit on top
    "2054545478 7f48444438 3844444420 384444487f 3854545418 087e090102 0c5252523e "
    "7f08040478 00447d4000 2040443d00 7f10284400 00417f4000 7c04180478 7c08040478 "
    "3844444438 7c14141408 081414187c 7c08040408 4854545420 043f444020 3c4040207c "
    "1c2040201c 3c4030403c 4428102844 0c5050503c 4464544c44 3e5149453e 00427f4000 "
    "4261514946 2141454b31 1814127f10 2745454539 3c4a494930 0171090503 3649494936 "
    "064949291e 0060600000 0808080808 08083e0808 0036360000 0050300000 2313086462 "
)


def draw_text(text: str, width: int) -> npt.NDArray[np.float64]:
    """Return the brightness 0 … 1, (11, width), of a line of text, cut where it is too long.

    Characters that the font lacks are blank.
    """
    line = np.zeros((TEXT_HEIGHT, width))
    for number, character in enumerate(text.lower()[: width // CHARACTER_WIDTH]):
        if character in CHARACTERS:
            columns = np.frombuffer(COLUMNS, np.uint8, 5, 5 * CHARACTERS.index(character))
            bits = np.unpackbits(columns[:, None], axis=1, bitorder="little").T  # (8, 5)
            left = CHARACTER_WIDTH * number
            line[2:10, left : left + 5] = BRIGHTNESS * bits
    return line
