"""The crates of the shipped program on one target, as cargo resolves them from Cargo.lock.

`cargo tree` and not the graph of `cargo metadata`: the latter joins the features that tests ask for with those of the
program, and so lists crates that are never compiled into it.
"""

import json
import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

# A line of `cargo tree --prefix depth`: depth, name, version, and remarks in parentheses.
# The packages whose programs ship; the first gives its name to all of it.
SHIPPED = ("secrets-store-csi-driver", "secrets-store-operator")
LINE = re.compile(r"(?P<depth>\d+)(?P<name>[A-Za-z_][\w-]*) v(?P<version>\S+)(?: \(.*\))?")


@dataclass
class Crate:
    """A package of the registry that is compiled for the program."""

    name: str
    version: str
    license: str
    checksum: str  # SHA-256 of its archive, from the lock file
    directory: Path  # its sources
    is_linked: bool  # false: it runs while the program is built and is not part of it
    depends_on: set[tuple[str, str]] = field(default_factory=set)

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.version


@dataclass
class Program:
    """The packages of this repository that ship, as one."""

    name: str
    version: str
    license: str
    depends_on: set[tuple[str, str]]
    crates: dict[tuple[str, str], Crate]

    def crate(self, name: str) -> Crate:
        """The one crate of that name."""
        found = [crate for crate in self.crates.values() if crate.name == name]
        if len(found) != 1:
            raise ValueError(f"{len(found)} crates are called {name}, not one")
        return found[0]


def resolve(root: Path, target: str) -> Program:
    """Asks cargo, in the directory of the lock file."""
    edges = read_tree(run(root, *tree("normal,build", target)))
    linked = read_tree(run(root, *tree("normal,no-proc-macro", target)))
    metadata = json.loads(run(root, "metadata", "--locked", "--format-version=1", "--filter-platform", target))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    checksums = {
        (package["name"], package["version"]): package.get("checksum")
        for package in tomllib.loads((root / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    }
    members = {p["id"] for p in metadata["packages"]} & set(metadata["workspace_members"])
    ours = {(p["name"], p["version"]) for p in metadata["packages"] if p["id"] in members}
    own = next(p for p in metadata["packages"] if p["name"] == SHIPPED[0])

    crates = {}
    for key, depends_on in edges.items():
        if key in ours:
            continue
        package, checksum = packages[key], checksums[key]
        if not package["license"] or not checksum:
            raise ValueError(f"{key[0]} {key[1]} comes without a license or without a checksum")
        crates[key] = Crate(
            name=key[0],
            version=key[1],
            # The notation from before SPDX expressions.
            license=package["license"].replace("/", " OR "),
            checksum=checksum,
            directory=Path(package["manifest_path"]).parent,
            is_linked=key in linked,
            depends_on=depends_on,
        )
    depends_on = set().union(*(edges[key] for key in ours & edges.keys())) - ours
    return Program(own["name"], own["version"], own["license"], depends_on, crates)


def tree(edges: str, target: str) -> list[str]:
    packages = [word for package in SHIPPED for word in ("--package", package)]
    return ["tree", "--locked", *packages, "--edges", edges, "--target", target, "--prefix", "depth", "--format", "{p}"]


def read_tree(text: str) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Every package with what it depends on directly; cargo shows that once and abbreviates it afterwards."""
    edges: dict[tuple[str, str], set[tuple[str, str]]] = {}
    path: list[tuple[str, str]] = []
    for line in filter(None, text.splitlines()):
        match = LINE.match(line)
        if not match:
            raise ValueError(f"cargo tree wrote a line of an unknown form: {line}")
        key = match["name"], match["version"]
        edges.setdefault(key, set())
        del path[int(match["depth"]) :]
        if path:
            edges[path[-1]].add(key)
        path.append(key)
    return edges


def run(root: Path, *arguments: str) -> str:
    return subprocess.check_output(["cargo", *arguments], cwd=root, text=True)
