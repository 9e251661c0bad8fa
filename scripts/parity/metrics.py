"""The series of the driver: names, types and labels.

Upstream's are those that its program creates itself; its libraries add more (`controller_runtime_*`, `go_*`), which
are not in its sources. Ours are those of docs/metrics.md and of a page with examples; tests compare both with the
program.
"""

import re
from pathlib import Path

import golang
from release import Release

PAGE = "tests/golden/metrics.txt"
DOCUMENT = "docs/metrics.md"
# How an instrument appears in Prometheus' format.
INSTRUMENTS = {
    "Float64Counter": "counter",
    "Float64Gauge": "gauge",
    "Float64Histogram": "histogram",
    "Int64Counter": "counter",
    "Int64Gauge": "gauge",
    "Int64Histogram": "histogram",
    "Int64UpDownCounter": "gauge",
}


def upstream(release: Release) -> dict[str, str]:
    found = {}
    for path in release.go_files():
        name = path.relative_to(release.directory)
        source = golang.without_comments(path.read_text(encoding="utf-8"))
        try:
            found |= of_source(source)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if not found:
        raise ValueError("no series was found: they are not where they were looked for")
    return found


def of_source(source: str) -> dict[str, str]:
    if re.search(r"\bprometheus\.New(Counter|Gauge|Histogram|Summary)|\bpromauto\.", source):
        raise ValueError("series that are made by Prometheus' own library are not understood")
    created = re.findall(r'\.(\w+), err :?= meter\.(\w+)\("([^"]+)"', source)
    if len(created) != len(re.findall(r"\bmeter\.(?!Meter)\w+\(", source)):
        raise ValueError("an instrument is not understood")
    if created and re.search(r"\bWithUnit\(", source):
        raise ValueError("instruments with a unit, which changes their names, are not understood")
    labels = labels_of_fields(source)
    found = {}
    for field, instrument, name in created:
        if instrument not in INSTRUMENTS:
            raise ValueError(f"the instrument {instrument} is not understood")
        kind = INSTRUMENTS[instrument]
        series = f"{name}_total" if kind == "counter" and not name.endswith("_total") else name
        found[f"metric {series}"] = shape(kind, labels.get(field, set()))
    return found


def labels_of_fields(source: str) -> dict[str, set[str]]:
    """The labels by the name of the field that holds the instrument: each function reports to one."""
    constants = dict(re.findall(r'\b(\w+)\s*=\s*"([^"]*)"', source))
    found: dict[str, set[str]] = {}
    for function in re.findall(r"^func .*?^\}", source, re.MULTILINE | re.DOTALL):
        names = re.findall(r"\battribute\.(?:Key|String|Bool|Int|Int64)\(([^(),]+)", function)
        keys = {golang.text(name) or constants.get(name) for name in names}
        for field in re.findall(r"\.(\w+)\.(?:Add|Record)\(", function):
            if None in keys:
                raise ValueError(f"a label of {field} is not understood")
            found.setdefault(field, set()).update(keys)
    return found


def ours(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    kind, labels, name = "", set(), ""
    for line in [*(root / PAGE).read_text(encoding="utf-8").splitlines(), "# TYPE  "]:
        if line.startswith("# TYPE "):
            if name:
                found[f"metric {name}"] = shape(kind, labels)
            _, _, name, kind = line.split(" ")
            labels = set()
        elif not line.startswith("#") and "{" in line:
            inside = line[line.index("{") + 1:line.rindex("}")]
            labels |= set(re.findall(r'(?:^|,)(\w+)="', inside))
    # The page lacks those that need more than an example.
    text = (root / DOCUMENT).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|", text, re.MULTILINE)
    return {f"metric {name}": kind for name, kind in rows} | found


def shape(kind: str, labels: set[str]) -> str:
    """The labels of the exporter itself and of buckets are on everything, and say nothing."""
    told = sorted(label for label in labels if label != "le" and not label.startswith("otel_scope_"))
    return f"{kind}{{{','.join(told)}}}"
