"""Text in a bitmap font."""

import numpy as np

from experiments.bitmap_text import CHARACTERS, COLUMNS, draw_text


def test_a_letter_has_pixels_and_a_space_has_none() -> None:
    line = draw_text("l 1", 18)
    assert line.shape == (11, 18)
    # a stroke of seven pixels in the third column, with serifs
    assert (line[2:9, 2] > 0).all()
    assert not line[:, 6:12].any()


def test_all_characters_are_different() -> None:
    assert len(COLUMNS) == 5 * len(CHARACTERS)
    shapes = {draw_text(character, 6).tobytes() for character in CHARACTERS}
    assert len(shapes) == len(CHARACTERS)


def test_text_is_cut_to_the_width_and_unknown_characters_are_blank() -> None:
    assert np.array_equal(draw_text("abcdef", 12), draw_text("ab", 12))
    assert not draw_text("€", 6).any()
