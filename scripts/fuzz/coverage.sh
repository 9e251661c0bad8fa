#!/bin/sh
# coverage.sh [FILE]: runs the committed corpus of every target once and says how many lines of each fuzzed
# module that reaches. Only what ships is counted: tests are not compiled. Fails when a module is below 90 %.
#
# With the name of a file of src/, shows its lines that were not reached instead.
#
# LLVM's tools have to be of the compiler's own version, since the format changes with it: those that rustup has
# (rustup component add llvm-tools), or the system's.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
root=$(cd -- "$here/../.." && pwd)
least=90

# What the targets are for. Of the others only a part can be reached without a peer.
modules='src/cli.rs src/config/*.rs src/csi/request.rs src/go_duration.rs src/http/request.rs src/kube/error.rs
    src/kube/text.rs src/kube/types/*.rs src/kube/watch/frame.rs src/provider/name.rs src/publish/attributes.rs
    src/secret.rs src/sync/data.rs src/sync/pem.rs src/sync/secret_object.rs src/sync/tls.rs src/sys/mountinfo.rs
    src/timestamp.rs src/volume/content.rs src/volume/file_path.rs src/volume/live.rs src/volume/payload.rs
    src/volume/target.rs src/volume/tree.rs src/volume/writer.rs'

fail() {
    printf '%s\n' "coverage.sh: $*" >&2
    exit 1
}

# tool NAME: the one that fits the compiler.
tool() {
    version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    triple=$(rustc -vV | sed -n 's/^host: //p')
    for candidate in "$(rustc --print sysroot)/lib/rustlib/$triple/bin/$1" "$1-$version"; do
        if command -v "$candidate" 2>/dev/null; then
            return 0
        fi
    done
    fail "no $1 of LLVM $version: rustup component add llvm-tools, or install the system's llvm-$version"
}

profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)
programs=$("$here/build.sh" coverage)
work=$(mktemp -d /dev/shm/fuzz.XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' INT TERM

set -- "$@" --
for file in "$root"/fuzz/fuzz_targets/*.rs; do
    target=$(basename -- "$file" .rs)
    mkdir "$work/$target"
    LLVM_PROFILE_FILE=$work/$target.profraw TMPDIR=$work/$target "$programs/$target" -runs=0 -max_len=16384 \
        "$root/fuzz/corpus/$target" >"$work/$target.log" 2>&1 ||
        { tail -n 20 "$work/$target.log" >&2; fail "$target fails for its own corpus"; }
    set -- "$@" --object "$programs/$target"
done
"$profdata" merge --sparse --output "$work/all.profdata" "$work"/*.profraw

cd "$root"
if [ "$1" != -- ]; then
    file=$1
    while [ "$1" != -- ]; do shift; done
    shift
    "$cov" show --instr-profile "$work/all.profdata" "$@" "$root/$file" | grep -E '^ +[0-9]+\| +0\|' || true
    exit 0
fi
shift
# shellcheck disable=SC2086 # a list of patterns
files=$(ls $modules | grep -v -e /tests.rs -e _tests.rs)
# shellcheck disable=SC2086 # a list of files
"$cov" export --summary-only --instr-profile "$work/all.profdata" "$@" $files >"$work/summary.json"
python3 - "$work/summary.json" "$root/" "$least" $files <<'PYTHON'
import json
import sys

summary, root, least, *wanted = sys.argv[1:]
with open(summary, encoding="utf-8") as lines:
    found = {row["filename"].removeprefix(root): row["summary"]["lines"] for row in json.load(lines)["data"][0]["files"]}
below = 0
for name in wanted:
    if name not in found:
        # Nothing but declarations.
        print(f"{name:34}    no code")
        continue
    count, covered = found[name]["count"], found[name]["covered"]
    percent = 100 * covered / count
    below += percent < float(least)
    print(f"{name:34} {covered:5} of {count:5} lines  {percent:5.1f} %" + ("  too few" if percent < float(least) else ""))
count, covered = (sum(found[name][key] for name in wanted if name in found) for key in ("count", "covered"))
print(f"{'all of them':34} {covered:5} of {count:5} lines  {100 * covered / count:5.1f} %")
print(f"{len(found) - below} modules with at least {least} %, {below} below")
sys.exit(below > 0)
PYTHON
