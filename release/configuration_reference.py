"""The reference of the configuration, from the schema of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.config.quantities import format_size
from asd_monitor.config.settings import file_schema
from release.tables import table

Schema = Mapping[str, Any]

_UNITS = {
    "_s": "s",
    "_mm": "mm",
    "_deg": "degrees",
    "_rpm": "revolutions a minute",
    "_days": "days",
    "days": "days",
}
_HEAD = """# Configuration

Every key of the file, from the program. [deploy/example.yaml](../deploy/example.yaml) shows them in
place; `asd-monitor config check FILE` checks a file, `asd-monitor config show FILE` prints what is
in effect, and `asd-monitor config schema` prints this as a JSON Schema for editors.
"""


def configuration_reference() -> str:
    """Return the reference as Markdown."""
    schema = file_schema()
    sections = [_section(schema, name, found) for name, found in _sections(schema, schema, "")]
    return "\n".join([_HEAD, *sections])


def _sections(schema: Schema, section: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Yield each section below one, and itself first, with its path."""
    yield path, section
    is_machine = path.endswith(">")
    for key, entry in section["properties"].items():
        if is_machine and key in MachineDefaults.model_fields:
            continue
        found = _of(schema, entry)
        below = f"{path}.{key}".lstrip(".")
        for each in entry.get("patternProperties", {}).values():
            found, below = _of(schema, each), f"{below}.<machine>"
        if found is not None:
            yield from _sections(schema, found, below)


def _of(schema: Schema, entry: Schema) -> Schema | None:
    """Return the section that an entry is; None: it is none."""
    for each in (entry, *entry.get("anyOf", ())):
        if "$ref" in each:
            found: Schema = schema["$defs"][each["$ref"].rpartition("/")[2]]
            return found
    return None


def _section(schema: Schema, path: str, section: Schema) -> str:
    required = section.get("required", ())
    rows = []
    is_machine = path.endswith(">")
    for key, entry in section["properties"].items():
        if is_machine and key in MachineDefaults.model_fields:
            continue
        below = _of(schema, entry)
        rows.append(
            (
                f"`{key}`",
                _values(entry, is_section=below is not None or "patternProperties" in entry),
                _unit(key, entry),
                "required" if key in required else _default(key, entry),
                _meaning(entry, below),
            )
        )
    title = f"## `{path}`" if path else "## The file"
    text = section["description"]
    if is_machine:
        text += " It may have each key of `defaults` as well, which counts for it alone."
    header = ("key", "value", "unit", "default", "meaning")
    return f"{title}\n\n{text}\n\n{table(header, rows)}\n"


def _values(entry: Schema, *, is_section: bool) -> str:
    if is_section:
        return "section"
    parts = [each for each in entry.get("anyOf", (entry,)) if each.get("type") != "null"]
    found = parts[0]
    if "enum" in found:
        return ", ".join(f"`{each}`" for each in found["enum"])
    if "const" in found:
        return f"`{found['const']}`"
    kind = found["type"]
    kind = "string or integer" if isinstance(kind, list) else kind
    bounds = [
        f"{sign} {_number(found[name])}"
        for name, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if name in found
    ]
    examples = entry.get("examples") or found.get("examples") or ()
    shown = f", such as {', '.join(f'`{each}`' for each in examples)}" if examples else ""
    return f"{kind}{''.join(f', {each}' for each in bounds)}{'' if bounds else shown}"


def _unit(key: str, entry: Schema) -> str:
    if entry.get("type") not in ("number", "integer"):
        return ""
    return next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")


def _default(key: str, entry: Schema) -> str:
    if "default" not in entry:
        return ""
    default = entry["default"]
    if default is None:
        return "none"
    if isinstance(default, dict):
        return "as below"
    if key.endswith("_bytes"):
        return f"`{format_size(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{_number(default) if isinstance(default, int | float) else default}`"


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else f"{value:,}"


def _meaning(entry: Schema, below: Schema | None) -> str:
    text = entry.get("description") or (below or {}).get("description")
    if not text:
        raise LookupError(f"the setting {entry.get('title', entry)} has no description")
    return str(text)
