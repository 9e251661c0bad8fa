#!/bin/sh
# bench-compare.sh A B: compares what two sides cost. A side is a result file of the benchmark, or several with commas
# between them, or else a commit, whose driver is built and measured by the benchmark of this checkout: ROUNDS (3) times
# each, in turns, so that both sides meet the same moods of the machine, and SCENES (starts live one many) of it alone.
# A commit whose driver does not know the benchmark's flags cannot be measured, which is an error that names the flag.
#
# Both are checked out in one place, one after the other, so that one commit on both sides gives the same program. Of
# what the build of this checkout has made, all but the project's own crate is used again. The place is below
# CARGO_TARGET_DIR, and gone afterwards; the results stay there.
set -eu

root=$(cd -- "$(dirname -- "$0")/.." && pwd)

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "bench-compare: $*"
    exit 1
}

if [ "$#" != 2 ] || [ -z "$1" ] || [ -z "$2" ]; then
    fail 'say what to compare: A=commit-or-file B=commit-or-file'
fi
rounds=${ROUNDS:-3}
case $rounds in
'' | *[!0-9]* | 0*) fail "ROUNDS=$rounds is no number of rounds" ;;
esac
mkdir -p -- "${CARGO_TARGET_DIR:?is not set: run this through make}"
target_dir=$(cd -- "$CARGO_TARGET_DIR" && pwd)
place=$target_dir/bench-compare
tree=$place/tree
temporary=

# are_files SIDE: true when everything between its commas is a file.
are_files() {
    (
        IFS=,
        set -f
        for file in $1; do
            [ -f "$file" ] || exit 1
        done
    )
}

# commit SIDE: the full name of a commit; nothing for files.
commit() {
    are_files "$1" && return 0
    git -C "$root" rev-parse --verify --quiet --end-of-options "$1^{commit}" ||
        fail "$1 is neither a result file nor a commit"
}

# The worktree is git's to remove, or it would remember it.
remove_tree() {
    git -C "$root" worktree remove --force "$tree" >/dev/null 2>&1 || true
    rm -rf -- "$tree"
}

# build SIDE COMMIT: its programs, kept in a directory of the side's name. Cargo does not tell one checkout's crates from
# another's, and by the times of the files could take what is built here for this checkout's own: the number of codegen
# units, which is what it is anyway unless the build is incremental, keeps them apart.
build() {
    say "building $1: $(git -C "$root" log -1 --format='%h %s' "$2")"
    git -C "$tree" checkout --quiet --detach "$2"
    (
        cd -- "$tree" || exit 1
        set --
        # shellcheck disable=SC2013 # no name has a space
        for package in $(sed -n 's/^name = "\(secrets-store-.*\)"$/\1/p' Cargo.lock); do
            set -- "$@" --config "profile.release.package.$package.codegen-units=16"
        done
        CARGO_TARGET_DIR=$target_dir CARGO_INCREMENTAL=0 cargo build --quiet --release --locked --bins "$@"
    ) >&2 || fail "$1 does not build"
    rm -rf -- "${place:?}/$1"
    mkdir -- "$place/$1"
    for program in secrets-store-csi-driver e2e-provider; do
        cp -- "$target_dir/release/$program" "$place/$1/" || fail "$1 has no program $program"
    done
}

# play SIDE ARGUMENT...: the benchmark with a side's programs, as `make bench` runs it. It gets none of our files: an
# open one would be counted as the driver's.
play() {
    side=$1
    shift
    TEST_PROGRAMS=$place/$side TMPDIR=$temporary "$root/tests/sandbox.sh" "$place/bench" "$@" \
        >"$temporary/log" 2>&1 </dev/null 9>&- && return 0
    flag=$(sed -n 's/^flag provided but not defined: //p' "$temporary/log" | head -n 1)
    [ -z "$flag" ] || fail "the driver of $side does not know $flag, which this checkout's benchmark gives it"
    cat -- "$temporary/log" >&2
    fail "the benchmark of $side failed, see above"
}

# measure SIDE COMMIT ROUND: appends the result file to the side's list.
measure() {
    file=$results/$1-$(git -C "$root" rev-parse --short "$2")-$3.json
    say "round $3 of $rounds: $1"
    # shellcheck disable=SC2086 # a list of flags
    play "$1" $flags --json "$file"
    printf '%s\n' "$file" >>"$temporary/$side"
}

# files SIDE GIVEN COMMIT: the result files of a side, with commas between them.
files() {
    if [ -n "$3" ]; then paste -s -d , "$temporary/$1"; else printf '%s\n' "$2"; fi
}

commit_a=$(commit "$1")
commit_b=$(commit "$2")
if [ -z "$commit_a$commit_b" ]; then
    exec "$target_dir/release/bench" --compare "$1" "$2"
fi

"$root/scripts/ensure-tools.sh" mount
mkdir -p -- "$place"
exec 9>"$place/lock"
flock -n 9 || fail "another comparison is running with $target_dir"
cleanup() {
    remove_tree
    rm -rf -- "${place:?}/A" "${place:?}/B" "$place/bench" ${temporary:+"$temporary"}
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Whoever reads what it says may stop, and then the next word would end it on the spot.
trap 'exit 141' PIPE
# In memory, as in `make bench`, and ours to remove if that is interrupted.
temporary=$(mktemp -d "${TMPDIR:-/dev/shm}/bench.XXXXXX" 2>/dev/null || mktemp -d)
# The benchmark as it is now, whatever is built meanwhile.
cp -- "$target_dir/release/bench" "$place/bench"
flags=
for scene in ${SCENES:-starts live one many}; do
    flags="$flags --scene $scene"
done

remove_tree
git -C "$root" worktree add --quiet --detach "$tree" "${commit_a:-$commit_b}"
for side in A B; do
    if [ "$side" = A ]; then commit=$commit_a; else commit=$commit_b; fi
    if [ -n "$commit" ]; then
        build "$side" "$commit"
        # One that cannot be measured should not cost minutes first.
        play "$side" --scene starts
    fi
done
if [ -n "$commit_a" ] && [ -n "$commit_b" ] &&
    cmp -s -- "$place/A/secrets-store-csi-driver" "$place/B/secrets-store-csi-driver"; then
    say 'both sides are the same program, byte for byte: what differs below is the machine'
fi

results=$place/$(date +%Y%m%d-%H%M%S)
mkdir -- "$results"
round=1
while [ "$round" -le "$rounds" ]; do
    [ -z "$commit_a" ] || measure A "$commit_a" "$round"
    [ -z "$commit_b" ] || measure B "$commit_b" "$round"
    round=$((round + 1))
done
[ -z "$commit_a" ] || printf 'A is %s\n' "$(git -C "$root" log -1 --format='%h %s' "$commit_a")"
[ -z "$commit_b" ] || printf 'B is %s\n' "$(git -C "$root" log -1 --format='%h %s' "$commit_b")"
"$place/bench" --compare "$(files A "$1" "$commit_a")" "$(files B "$2" "$commit_b")"
say "the results are in $results"
