"""The values of the chart: names, defaults, and which of them its templates read."""

import json
import re
from pathlib import Path

import documents

# What a test installs with as "every value of the upstream chart with its default".
COPY = "tests/e2e/install/values/upstream-defaults.yaml"


def defaults(path: Path, version: str) -> dict[str, str]:
    """Each value by its path. The tag of the release itself is called so, since it changes with each."""
    leaves = flat(documents.read(path.read_text(encoding="utf-8"), path.name)[0])
    tag = f"v{version}"
    return {name: "the release's tag" if value == tag else json.dumps(value) for name, value in leaves.items()}


def flat(node: object, path: str = "") -> dict[str, object]:
    """Maps are taken apart, lists are not: Helm replaces them whole, too."""
    if not isinstance(node, dict) or not node:
        return {path: node}
    found = {}
    for key, below in node.items():
        found |= flat(below, f"{path}.{key}" if path else str(key))
    return found


def read(chart: Path) -> set[str]:
    """The paths that templates name; those for people, NOTES.txt, do not count."""
    found = set()
    for path in sorted(chart.glob("templates/**/*")):
        if path.suffix in (".yaml", ".tpl"):
            source = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            found |= set(re.findall(r"\.Values\.([A-Za-z0-9_.]*[A-Za-z0-9_])", source))
    return found


def is_read(name: str, named: set[str]) -> bool:
    """A value is read with what it is in, and with what is in it."""
    return any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in named)


def without_effect(names: set[str], theirs: set[str], our: set[str]) -> set[str]:
    """Values that upstream's templates read and ours do not; where all of a section are, the section."""
    lost = {name for name in names if is_read(name, theirs) and not is_read(name, our)}
    found = set()
    for name in lost:
        parts = name.split(".")
        sections = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        found.add(next(section for section in sections if not is_read(section, our)))
    return found


def upstream(chart: Path, version: str, ours: Path) -> dict[str, str]:
    names = defaults(chart / "values.yaml", version)
    facts = {f"value {name}": value for name, value in names.items()}
    named = read(chart)
    lost = without_effect(set(names) | named, named, read(ours))
    facts |= {f"use of value {name}": "by templates" for name in lost}
    return facts | {f"copy of value {name}": value for name, value in names.items()}


def ours(chart: Path, version: str, root: Path) -> dict[str, str]:
    facts = {f"value {name}": value for name, value in defaults(chart / "values.yaml", version).items()}
    copied = defaults(root / COPY, version)
    return facts | {f"copy of value {name}": value for name, value in copied.items()}
