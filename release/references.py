"""Writes the references of configuration and messages into the documentation.

    python -m release.references [--check]

``docs/configuration.md`` is written as a whole; of the other documents what stands between two
comments, ``<!-- NAME: by python -m release.references -->`` and ``<!-- end of NAME -->``.  With
``--check`` nothing is written.

Exit codes: 0 they agree with the program, or are written; 1 they do not agree.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from release.configuration_reference import configuration_reference
from release.message_reference import command_table, message_tables, response_table

ROOT = Path(__file__).parents[1]
PARTS = {
    "docs/mqtt-messages.md": {"messages": message_tables},
    "docs/mqtt-commands.md": {"commands": command_table, "answers": response_table},
}


def references(root: Path) -> dict[Path, str]:
    """Return the documents as they should be, by path.

    Raises ValueError where the comments of a part are missing.
    """
    documents = {root / "docs/configuration.md": configuration_reference()}
    for name, parts in PARTS.items():
        text = (root / name).read_text()
        for part, write in parts.items():
            text = with_part(text, part, write())
        documents[root / name] = text
    return documents


def with_part(text: str, part: str, content: str) -> str:
    """Return a document with another content of one part.

    Raises ValueError where its comments are missing.
    """
    begin, end = f"<!-- {part}: by python -m release.references -->\n", f"<!-- end of {part} -->"
    before, begins, rest = text.partition(begin)
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        raise ValueError(
            f"the comments of the part {part!r} are missing: add {begin!r} and {end!r}"
        )
    return f"{before}{begin}\n{content}\n\n{end}{after}"


def differing(root: Path) -> list[Path]:
    """Return the documents that do not agree with the program."""
    found = references(root).items()
    return [path for path, text in found if not path.exists() or path.read_text() != text]


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    parser = ArgumentParser(prog="python -m release.references", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    paths = differing(ROOT)
    for path in paths:
        print(f"{path.relative_to(ROOT)}: {'differs' if options.check else 'written'}")  # noqa: T201
        if not options.check:
            path.write_text(references(ROOT)[path])
    return int(options.check and bool(paths))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
