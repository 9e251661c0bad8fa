"""A directory with the sources of an upstream release: whether it is one, which, and where things are in it."""

import re
from pathlib import Path

import documents

MODULE = "sigs.k8s.io/secrets-store-csi-driver"
CHART = "charts/secrets-store-csi-driver"
# One of each thing that is read; a checkout of something else lacks most of them.
NEEDED = (
    "go.mod",
    "cmd/secrets-store-csi-driver/main.go",
    f"{CHART}/Chart.yaml",
    f"{CHART}/values.yaml",
    f"{CHART}/templates",
    "deploy/secrets-store-csi-driver.yaml",
)


class Release:
    """Upstream's sources."""

    def __init__(self, directory: Path) -> None:
        """Raises ValueError where the directory is something else."""
        who = f"{directory} does not have the sources of an upstream release"
        if not directory.is_dir():
            raise ValueError(f"{directory} is not a directory")
        missing = [name for name in NEEDED if not (directory / name).exists()]
        if missing:
            raise ValueError(f"{who}: without {', '.join(missing)}")
        self.directory = directory
        self.go_mod = (directory / "go.mod").read_text(encoding="utf-8")
        module = re.search(r"^module\s+(\S+)", self.go_mod, re.MULTILINE)
        if module is None or module[1] != MODULE:
            raise ValueError(f"{who}: go.mod is that of {module[1] if module else 'no module'}, not of {MODULE}")
        chart = documents.read((self.chart / "Chart.yaml").read_text(encoding="utf-8"), f"{CHART}/Chart.yaml")[0]
        self.version = str(chart["appVersion"])

    @property
    def chart(self) -> Path:
        return self.directory / CHART

    def required(self, module: str) -> str | None:
        """The version of a module that the release is built with."""
        match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", self.go_mod, re.MULTILINE)
        return match[1] if match else None

    def go_files(self) -> list[Path]:
        """The sources that may be part of the program: no tests, nothing generated for them, no tools."""
        apart = {"docs", "fake", "hack", "mocks", "test", "testdata", "third_party", "vendor"}
        return sorted(
            path
            for path in self.directory.rglob("*.go")
            if not path.name.endswith("_test.go") and not apart & set(path.relative_to(self.directory).parts)
        )
