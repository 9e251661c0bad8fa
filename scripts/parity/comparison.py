"""What each side says of itself, fact by fact, and where the two differ.

A fact has a name, such as `flag --endpoint`, and a value; what is part of an object is named after it and a comma.
"""

from pathlib import Path

import definitions
import flags
import metrics
import objects
import values
from release import CHART, Release


def of_upstream(release: Release, root: Path) -> dict[str, str]:
    manifests = sorted((release.directory / "deploy").glob("*.yaml"))
    return (
        flags.upstream(release)
        | values.upstream(release.chart, release.version, root / "deploy" / CHART)
        | objects.of_chart(release.chart)
        | objects.of_manifests(manifests)
        | definitions.facts(manifests)
        | metrics.upstream(release)
    )


def of_ours(root: Path, version: str) -> dict[str, str]:
    """`version` is upstream's: its images are named in our chart as well."""
    chart = root / "deploy" / CHART
    manifests = [*(root / "deploy").glob("*.yaml"), *(root / "deploy/crds").glob("*.yaml")]
    return (
        flags.ours(root)
        | values.ours(chart, version, root)
        | objects.of_chart(chart)
        | objects.of_manifests(manifests)
        | definitions.facts(manifests)
        | metrics.ours(root)
    )


def compare(theirs: dict[str, str], ours: dict[str, str]) -> list[str]:
    """The differences as sentences, by name; of an object that one side lacks, nothing but that."""
    found = []
    for name in sorted(theirs.keys() | ours.keys()):
        whole = name.split(", ")[0]
        if whole != name and (whole in theirs) != (whole in ours):
            continue
        if name not in theirs:
            found.append(f"{name}: ours alone")
        elif name not in ours:
            found.append(f"{name}: upstream's alone, {theirs[name]}")
        elif theirs[name] != ours[name]:
            found.append(f"{name}: upstream's {theirs[name]}, ours {ours[name]}")
    return found
