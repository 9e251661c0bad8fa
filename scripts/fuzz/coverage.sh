#!/bin/sh
# coverage.sh [FILE]: runs the committed corpus of every target once and says how many lines of each fuzzed module that
# reaches. Fails when a module is below 90 %. With the name of a file of src/, shows its lines that are not reached.
#
# LLVM's tools have to be of the compiler's own version, since the format changes with it: those that rustup has
# (rustup component add llvm-tools), or the system's.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
root=$(cd -- "$here/../.." && pwd)
file=${1:-}

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

set --
for source in "$root"/fuzz/fuzz_targets/*.rs; do
    target=$(basename -- "$source" .rs)
    mkdir "$work/$target"
    LLVM_PROFILE_FILE=$work/$target.profraw TMPDIR=$work/$target "$programs/$target" -runs=0 \
        "$root/fuzz/corpus/$target" >"$work/$target.log" 2>&1 || {
        tail -n 20 "$work/$target.log" >&2
        fail "$target fails for its own corpus"
    }
    set -- "$@" --object "$programs/$target"
done
"$profdata" merge --sparse --output "$work/all.profdata" "$work"/*.profraw

if [ -n "$file" ]; then
    "$cov" show --instr-profile "$work/all.profdata" "$@" --sources "$root/$file" | grep -E '^ +[0-9]+\| +0\|' || true
    exit 0
fi
"$cov" export --summary-only --instr-profile "$work/all.profdata" "$@" >"$work/summary.json"
python3 -B "$here/coverage.py" "$work/summary.json"
