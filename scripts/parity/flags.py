"""The flags of the driver: names, types and defaults.

Upstream's are those that its program defines and those of its libraries. The libraries are not in its sources, so what
they add stands in libraries.toml, by version. Ours are the table that the program is compiled with; that the table is
read correctly here is checked against docs/flags.md, which a test compares with the program.
"""

import json
import re
import tomllib
from pathlib import Path

import golang
from release import Release

TABLE = "src/config/driver_flags.rs"
DOCUMENT = "docs/flags.md"
OUR_KINDS = {"Text": "string", "Bool": "bool", "Int": "int", "Duration": "duration"}
# Functions of Go's package of flags that define one, in both forms, by the type of its value.
GO_KINDS = {
    "Bool": "bool",
    "Duration": "duration",
    "Float64": "float64",
    "Int": "int",
    "Int64": "int64",
    "String": "string",
    "Uint": "uint",
    "Uint64": "uint64",
}
# What else is called in that package, and defines none.
HARMLESS = {"Arg", "Args", "CommandLine", "Lookup", "NArg", "NFlag", "Parse", "Parsed", "Set", "Visit", "VisitAll"}


def upstream(release: Release) -> dict[str, str]:
    found = of_libraries(release)
    for path in release.go_files():
        name = path.relative_to(release.directory)
        source = golang.without_comments(path.read_text(encoding="utf-8"))
        if "spf13/pflag" in source:
            raise ValueError(f"{name}: flags of the package pflag are not understood")
        if '"flag"' not in source:
            continue
        for call in re.finditer(r"\bflag\.(\w+)", source):
            try:
                found |= definition(source, call)
            except ValueError as error:
                raise ValueError(f"{name}:{golang.line_of(source, call.start())}: {error}") from error
    return found


def definition(source: str, call: re.Match) -> dict[str, str]:
    """The flag that a call defines, if it defines one."""
    function = call[1]
    if function in HARMLESS:
        return {}
    kind = GO_KINDS.get(function.removesuffix("Var"))
    if kind is None or source[call.end():call.end() + 1] != "(":
        raise ValueError(f"flag.{function} is not understood")
    given = golang.arguments(source, call.end())
    given = given[1:] if function.endswith("Var") else given
    name = golang.text(given[0])
    if name is None:
        raise ValueError(f"the name of the flag, {given[0]}, is no text")
    return {key(name): value(kind, default_of(kind, given[1]))}


def default_of(kind: str, expression: str) -> str:
    if kind == "string":
        found = golang.text(expression)
        if found is None:
            raise ValueError(f"the default {expression} is no text")
        return found
    if kind == "bool":
        if expression not in ("true", "false"):
            raise ValueError(f"the default {expression} is not understood")
        return expression
    return str(golang.number(expression))


def of_libraries(release: Release) -> dict[str, str]:
    """What libraries add; a version that nobody has looked at is a difference of its own."""
    found = {}
    known = tomllib.loads((Path(__file__).parent / "libraries.toml").read_text(encoding="utf-8"))
    for module, library in known.items():
        version = release.required(module)
        if version is None:
            continue
        if not number_of(library["first"]) <= number_of(version) <= number_of(library["last"]):
            found[f"flags of {module}"] = version
        for flag in library["flags"]:
            if "since" not in flag or number_of(version) >= number_of(flag["since"]):
                found[key(flag["name"])] = value(flag["type"], flag["default"])
    return found


def ours(root: Path) -> dict[str, str]:
    source = (root / TABLE).read_text(encoding="utf-8")
    row = re.compile(r'\brow\(\s*"([^"]+)",\s*(?:Kind::(\w+)\([^()]*\)|IGNORED_(\w+)),\s*"([^"]*)",')
    rows = [(name, kind or ignored.capitalize(), default) for name, kind, ignored, default in row.findall(source)]
    # Besides its calls there is the function itself.
    if len(rows) != len(re.findall(r"\brow\(", source)) - 1:
        raise ValueError(f"{TABLE}: a row of the table is not understood")
    said = documented(root)
    read = {name: default for name, _, default in rows}
    if said != read:
        odd = sorted(name for name in said.keys() | read.keys() if said.get(name) != read.get(name))
        raise ValueError(f"{TABLE} and {DOCUMENT} do not say the same of: {', '.join(odd)}")
    return {key(name): value(OUR_KINDS[kind], default_of_ours(kind, default)) for name, kind, default in rows}


def default_of_ours(kind: str, default: str) -> str:
    if kind == "Duration":
        match = re.fullmatch(r"(\d+)(s|m|h)", default)
        if match is None:
            raise ValueError(f"{TABLE}: the default {default} is not understood")
        unit = {"s": "Second", "m": "Minute", "h": "Hour"}[match[2]]
        return str(golang.number(f"{match[1]} * time.{unit}"))
    return default


def documented(root: Path) -> dict[str, str]:
    """Name and default of every flag that the document lists."""
    text = (root / DOCUMENT).read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `--([^`]+)` \| `?([^`|]*?)`? \|", text, re.MULTILINE))


def key(name: str) -> str:
    return f"flag --{name}"


def value(kind: str, default: str) -> str:
    if kind == "duration":
        seconds = int(default) / 10**9
        return f"duration {seconds:g}s"
    is_text = kind in ("patterns", "place", "string")
    return f"{kind} {json.dumps(default) if is_text else default}"


def number_of(version: str) -> tuple[int, ...]:
    """A version of Go's without what follows a dash, for comparing."""
    return tuple(int(part) for part in version.removeprefix("v").split("-")[0].split("+")[0].split("."))
