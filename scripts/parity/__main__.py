"""`make parity`: every difference between a release of the upstream driver and this one.

    python3 scripts/parity UPSTREAM [--ours ROOT] [--known FILE]

UPSTREAM is a directory with the release's sources. Flags, values and objects of the chart, manifests with their roles,
custom resource definitions and metrics are read from the sources of both sides, and whatever is not the same is said:
first what known.txt gives a reason for, then what it does not. The exit code is 1 when there is any of the latter, or
an entry in known.txt that is about nothing any more.

What it does not see: what the programs do. That is what the tests are for.
"""

import argparse
import sys
from pathlib import Path

from comparison import compare, of_ours, of_upstream
from known import Known
from release import Release

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/parity", description="compares an upstream release with this driver")
    parser.add_argument("upstream", type=Path, help="directory with the release's sources")
    parser.add_argument("--ours", type=Path, default=HERE.parents[1], help="directory with this driver's sources")
    parser.add_argument("--known", type=Path, default=HERE / "known.txt", help="list of known differences")
    given = parser.parse_args()

    release = Release(given.upstream)
    known = Known(given.known)
    theirs, ours = of_upstream(release, given.ours), of_ours(given.ours, release.version)
    differences = compare(theirs, ours)
    unknown = [difference for difference in differences if known.reason(difference) is None]
    stale = known.stale(differences)

    for difference in differences:
        if reason := known.reason(difference):
            print(f"{difference}\n    {reason}")
    sys.stdout.flush()
    for difference in unknown:
        print(difference, file=sys.stderr)
    for entry in stale:
        print(f"no longer so: {entry}", file=sys.stderr)
    sys.stderr.flush()
    print(
        f"\nupstream {release.version}: {len(theirs.keys() | ours.keys())} facts, {len(differences)} differences, "
        f"{len(differences) - len(unknown)} of them known, {len(unknown)} not, {len(stale)} stale entries"
    )
    if unknown or stale:
        print(f"mend what is not meant, and write down in {given.known} what is, with its reason", file=sys.stderr)
    return 1 if unknown or stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, LookupError, TypeError) as error:
        kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
        sys.exit(f"could not compare: {kind}{error}")
