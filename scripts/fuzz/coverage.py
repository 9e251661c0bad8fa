#!/usr/bin/env python3
"""coverage.py SUMMARY: from what llvm-cov exports to a line for each fuzzed module, and to a verdict.

A module counts as a whole: functions that no target calls are lines that are not reached. Tests are not compiled, so
they are not counted.
"""

import glob
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEAST_PERCENT = 90
# What the targets are for. Of the others only a part can be reached without a peer.
MODULES = [
    "base/cli.rs", "config/*.rs", "csi/request.rs", "base/go_duration.rs", "web/http/request.rs", "kube/error.rs", "kube/text.rs",
    "kube/types/*.rs", "kube/watch/frame.rs", "provider/name.rs", "publish/attributes.rs", "base/secret.rs", "sync/data.rs",
    "sync/pem.rs", "sync/secret_object.rs", "sync/tls.rs", "sys/mountinfo.rs", "base/timestamp.rs", "volume/content.rs",
    "volume/file_path.rs", "volume/live.rs", "volume/payload.rs", "volume/target.rs", "volume/tree.rs",
    "volume/writer.rs",
]
# Modules of which a part is out of reach: what they have at least all the same, and what that part is.
EXCEPTIONS = {
    "src/config/driver_flags.rs": (50, "the table's rows are made by the compiler; it counts the function that makes them"),
    "src/config/lib.rs": (85, "the environment itself: the roots read it"),
    "src/kube/types/secret.rs": (80, "how large a request's buffer is: asked by the client, which needs a server"),
    "src/volume/live.rs": (85, "whether a volume is whole: asked by volume::place, which needs a mount"),
}


def main(summary):
    with open(summary, encoding="utf-8") as text:
        files = json.load(text)["data"][0]["files"]
    found = {os.path.realpath(row["filename"]): row["summary"]["lines"] for row in files}
    total = {"count": 0, "covered": 0}
    enough, below = 0, 0
    for path in sorted(path for module in MODULES for path in glob.glob(str(ROOT / "src" / module))):
        lines = found.get(path)
        # Nothing but declarations and tests.
        if not lines or not lines["count"]:
            continue
        percent = 100 * lines["covered"] / lines["count"]
        name = path.removeprefix(f"{ROOT}/")
        least, why = EXCEPTIONS.get(name, (LEAST_PERCENT, ""))
        is_enough = percent >= least
        enough, below = enough + is_enough, below + (not is_enough)
        total = {key: total[key] + lines[key] for key in total}
        remark = f"  {why}" if is_enough and percent < LEAST_PERCENT else "" if is_enough else "  too few"
        print(f"{name:32} {lines['covered']:5} of {lines['count']:5} lines  {percent:5.1f} %{remark}")
    percent = 100 * total["covered"] / max(total["count"], 1)
    print(f"{'all of them':32} {total['covered']:5} of {total['count']:5} lines  {percent:5.1f} %")
    print(f"{enough} modules with at least {LEAST_PERCENT} %, or with what their exception says; {below} below")
    return below > 0 or enough == 0


sys.exit(main(sys.argv[1]))
