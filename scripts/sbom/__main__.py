"""`make sbom`: one bill of materials for each architecture that ships, in CycloneDX 1.6.

    python3 scripts/sbom OUT CACHE

writes to the directory OUT. CACHE is where the static build keeps its compiler, and where that is put if need be.

Version 1.6 and not 1.7: it is an ECMA standard (ECMA-424), scanners read it, and nothing here needs what came after.
The tools that make such documents from a Cargo.lock know nothing of the C and C++ sources inside of crates, nor of what
the linker adds, and those are the larger half of what may need mending one day. So these few files make it all, from
what cargo and the sources themselves say, with no package of Python's.

The same commit with the same tools gives the same bytes.
"""

import os
import subprocess
import sys
from pathlib import Path

import bundled
import cargo
import document
import toolchain

# What ships; the names are those of the directories of `make static`.
TARGETS = {
    "aarch64": "aarch64-unknown-linux-musl",
    "x86_64": "x86_64-unknown-linux-musl",
}

ROOT = Path(__file__).resolve().parents[2]


def commit_time() -> int:
    """Seconds: what the caller says, or else when the commit was made."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        given = subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True)
    return int(given)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python3 scripts/sbom OUT CACHE")
    out, cache = Path(sys.argv[1]), Path(sys.argv[2])
    time = commit_time()
    out.mkdir(parents=True, exist_ok=True)
    for architecture, target in TARGETS.items():
        program = cargo.resolve(ROOT, target)
        parts = bundled.find(program) + toolchain.find(cache, architecture)
        path = out / f"{program.name}-{architecture}.cdx.json"
        path.write_text(document.render(program, parts, target, time), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        sys.exit(f"could not write the bill of materials: {error}")
