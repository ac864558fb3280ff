"""Tables in Markdown."""

from experiments.markdown import table


def test_a_table_has_a_rule_and_aligns_numbers_to_the_right() -> None:
    assert table(["what", "ms", "n"], [["a", "1", "2"]]) == (
        "| what | ms | n |\n| --- | ---: | ---: |\n| a | 1 | 2 |\n"
    )
